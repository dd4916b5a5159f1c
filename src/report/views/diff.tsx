// SPDX-License-Identifier: BSD-3-Clause
// Two sessions of one program: a table of the call tree with base, new and the difference, and the flame
// graph coloured by it. What lies within the noise of sampling is grey; a sign is a glyph, not a colour.
import { useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { type DiffTree, location, type Profile } from '../model/types';
import { integer, time, UNIT_SIGNS } from '../ui/format';
import { lend, type State, type ViewProps } from '../ui/state';
import { diffOf, FlameGraph, Legend, useHits } from './flame';
import { deltaPart } from './functions';
import { VirtualList } from './list';
import { deltaText, diffStep, labels } from './picture';
import { findRow, type Listed, OpenRows } from './rows';

/** Opens the way to what changed most: rows with a change beyond the noise, at most 40. */
function openChanged(rows: OpenRows, tree: DiffTree): void {
	rows.openFirst();
	const changed: number[] = [];
	for (let row = 0; row < tree.n; row++) {
		if (!tree.noisy[row] && tree.delta[row] !== 0 && tree.depth[row] > 0) {
			changed.push(row);
		}
	}
	changed.sort((a, b) => Math.abs(tree.delta[b]) - Math.abs(tree.delta[a]) || tree.depth[b] - tree.depth[a]);
	for (const row of changed.slice(0, 40)) {
		rows.showRow(row);
	}
}

function words(profile: Profile, state: State, tree: DiffTree, share: boolean): string {
	const base = profile.meta.diff;
	const total = tree.n ? tree.delta[0] : 0;
	const how = share ? 'shares of the samples, on the scale of the new run' : 'absolute times';
	return `${base ? `against ${base.program}, ${integer(base.samples)} samples, ` : ''}${how}: ${deltaText(profile, state.unit, total, tree.totalTime)}`;
}

export function DiffView({ profile, state, set }: ViewProps) {
	const scroller = useRef<HTMLDivElement>(null);
	const list = useRef<VirtualList | null>(null);
	const [share, setShare] = useState(profile.meta.diff?.mode === 'share');
	const [flame, setFlame] = useState(false);
	const [opened, setOpened] = useState(0);
	const tree = diffOf(profile, state.scope, state.filters, share);
	const rows = useMemo(() => {
		const made = new OpenRows(profile, tree);
		openChanged(made, tree);
		return made;
	}, [tree]);
	const listed: Listed = useMemo(() => rows.list(state.sort), [rows, opened, state.sort]);
	const hit = useHits(profile, tree, state.search);
	const row = useMemo(() => (state.selection ? findRow(profile, tree, state.selection) : -1), [tree, state.selection]);
	const index = row >= 0 ? listed.at[row] : -1;
	const whole = tree.n ? Math.max(tree.total[0], tree.base[0]) : 0;
	const live = useRef({ tree, rows, listed, hit, index, state, whole });
	live.current = { tree, rows, listed, hit, index, state, whole };

	const select = (at: number): void => {
		const { listed, tree } = live.current;
		const to = listed.row[at];
		if (at >= 0 && at < listed.n && to >= 0) {
			set({ selection: { func: tree.func[to], node: tree.node[to], row: to } });
			list.current?.reveal(at);
		}
	};
	const toggle = (at: number, open?: boolean, below = false): void => {
		const { listed, rows } = live.current;
		const to = listed.row[at];
		if (to < 0) {
			const group = ~to;
			if (rows.openGroups.has(group)) {
				rows.openGroups.delete(group);
			} else {
				rows.openGroups.add(group);
			}
		} else if (below) {
			rows.openBelow(to, !!open);
		} else {
			rows.open[to] = (open ?? !rows.open[to]) ? 1 : 0;
		}
		setOpened((before) => before + 1);
	};
	const reveal = (to: number): void => {
		live.current.rows.showRow(to);
		const { tree } = live.current;
		set({ selection: { func: tree.func[to], node: tree.node[to], row: to } });
		setOpened((before) => before + 1);
	};
	const acts = useRef({ select, toggle, reveal });
	acts.current = { select, toggle, reveal };

	useLayoutEffect(() => {
		if (flame) {
			return;
		}
		const host = scroller.current as HTMLElement;
		const fill = (element: HTMLElement, at: number): void => {
			const { tree, rows, listed, hit, index, state, whole } = live.current;
			const to = listed.row[at];
			const [base, now, delta, part, name] = element.children as unknown as HTMLElement[];
			const amount = (value: number, count: number): string => time(profile, state.unit, value, count, whole, whole);
			element.id = `diff-${at}`;
			element.setAttribute('aria-level', String(listed.depth[at] + 1));
			element.setAttribute('aria-setsize', String(listed.size[at]));
			element.setAttribute('aria-posinset', String(listed.place[at]));
			element.setAttribute('aria-selected', String(at === index));
			const [twist, text, place] = name.children as unknown as HTMLElement[];
			(name as HTMLElement).style.paddingLeft = `${Math.min(listed.depth[at], 24) * 16 + Math.max(0, listed.depth[at] - 24) * 2}px`;
			if (to < 0) {
				const group = tree.groups[~to];
				element.className = 'd grp';
				base.textContent = now.textContent = delta.textContent = part.textContent = place.textContent = '';
				twist.textContent = '';
				text.textContent = `${group.frames} frames ${rows.openGroups.has(~to) ? 'shown' : 'hidden'} (${group.libraries.slice(0, 3).join(', ')})`;
				element.removeAttribute('aria-expanded');
				return;
			}
			const step = diffStep(tree, to);
			element.className = `d step-${step}${at === index ? ' sel' : ''}${hit && hit[to] ? ' hit' : ''}${tree.noisy[to] ? ' noise' : ''}${tree.gone[to] ? ' gone' : ''}`;
			base.textContent = tree.fresh[to] ? '\u2013' : amount(tree.base[to], tree.baseCount[to]);
			now.textContent = tree.gone[to] ? '\u2013' : amount(tree.total[to], tree.count[to]);
			delta.textContent = deltaText(profile, state.unit, tree.delta[to], whole);
			part.textContent = tree.gone[to] ? 'gone' : tree.fresh[to] ? 'new' : deltaPart(tree.base[to], tree.delta[to]);
			element.title = tree.noisy[to] ? `Within the noise of ${integer(tree.baseCount[to] + tree.count[to])} samples` : '';
			const kids = rows.hasChildren(to);
			twist.textContent = kids ? (rows.open[to] ? '\u25be' : '\u25b8') : '';
			if (kids) {
				element.setAttribute('aria-expanded', String(rows.open[to] === 1));
			} else {
				element.removeAttribute('aria-expanded');
			}
			text.textContent = labels(profile)(tree.func[to]);
			place.textContent = location(profile, tree.func[to], tree.line[to]);
		};
		const virtual = new VirtualList(host, {
			create: () => {
				const element = document.createElement('div');
				element.setAttribute('role', 'treeitem');
				for (const name of ['num', 'num', 'num d-delta', 'num', 'd-name']) {
					const part = document.createElement('span');
					part.className = name;
					element.append(part);
				}
				for (const name of ['d-twist', 'd-text', 'd-place muted']) {
					const part = document.createElement('span');
					part.className = name;
					(element.lastChild as HTMLElement).append(part);
				}
				return element;
			},
			fill,
		});
		list.current = virtual;
		const onClick = (event: MouseEvent): void => {
			const target = event.target instanceof Element ? event.target : null;
			const element = target?.closest('.d');
			if (!element) {
				return;
			}
			const at = Number(element.id.slice('diff-'.length));
			if (live.current.listed.row[at] < 0 || target?.closest('.d-twist')) {
				acts.current.toggle(at, undefined, event.altKey);
			} else {
				acts.current.select(at);
			}
		};
		host.addEventListener('click', onClick);
		const giveBack = lend({
			keys: (event) => {
				const { index, listed, rows } = live.current;
				if (event.ctrlKey || event.metaKey || !listed.n) {
					return false;
				}
				const to = index >= 0 ? listed.row[index] : -1;
				/* the button of a group is passed over: Alt and the arrow opens it with the rest */
				const beside = (from: number, by: 1 | -1): number => {
					let at = from;
					while (at >= 0 && at < listed.n && listed.row[at] < 0) {
						at += by;
					}
					return at >= 0 && at < listed.n ? at : index;
				};
				switch (event.key) {
					case 'ArrowDown':
						acts.current.select(beside(index + 1, 1));
						return true;
					case 'ArrowUp':
						acts.current.select(beside(Math.max(0, index - 1), -1));
						return true;
					case 'PageDown':
						acts.current.select(beside(Math.min(listed.n - 1, index + virtual.page), -1));
						return true;
					case 'PageUp':
						acts.current.select(beside(Math.max(0, index - virtual.page), 1));
						return true;
					case 'Home':
						acts.current.select(0);
						return true;
					case 'End':
						acts.current.select(beside(listed.n - 1, -1));
						return true;
					case 'ArrowRight':
						if (to >= 0 && event.altKey) {
							acts.current.toggle(index, true, true);
						} else if (to >= 0 && rows.hasChildren(to) && !rows.open[to]) {
							acts.current.toggle(index, true);
						} else {
							acts.current.select(beside(index + 1, 1));
						}
						return true;
					case 'ArrowLeft':
						if (to >= 0 && event.altKey) {
							acts.current.toggle(index, false, true);
						} else if (to >= 0 && rows.open[to] && rows.hasChildren(to)) {
							acts.current.toggle(index, false);
						} else if (index >= 0) {
							acts.current.select(beside(listed.parent[index], -1));
						}
						return true;
					default:
						return false;
				}
			},
			step: (direction) => {
				const { tree, hit, index, listed } = live.current;
				if (!hit) {
					return false;
				}
				const start = index >= 0 ? listed.row[index] : direction > 0 ? -1 : 0;
				for (let tried = 1; tried <= tree.n; tried++) {
					const to = (((start + direction * tried) % tree.n) + tree.n) % tree.n;
					if (hit[to]) {
						acts.current.reveal(to);
						return true;
					}
				}
				return false;
			},
			focus: () => host.focus({ preventScroll: true }),
		});
		return () => {
			giveBack();
			host.removeEventListener('click', onClick);
			virtual.close();
			list.current = null;
		};
	}, [profile, flame]);

	useLayoutEffect(() => {
		list.current?.reset(listed.n);
		if (index >= 0) {
			list.current?.reveal(index);
		}
	}, [listed, state.unit, flame, hit]);
	useLayoutEffect(() => {
		if (row >= 0 && index < 0) {
			rows.showRow(row);
			setOpened((before) => before + 1);
		} else {
			list.current?.refresh();
			if (index >= 0) {
				list.current?.reveal(index);
			}
		}
	}, [index, row]);

	const noise = useMemo(() => {
		let quiet = 0;
		for (let at = 0; at < tree.n; at++) {
			quiet += tree.noisy[at];
		}
		return quiet;
	}, [tree]);

	return (
		<section class="view" aria-label="Comparison">
			<div class="view-bar">
				<button aria-pressed={!flame} onClick={() => setFlame(false)}>
					Table
				</button>
				<button aria-pressed={flame} onClick={() => setFlame(true)}>
					Flame
				</button>
				<label>
					Compare
					<select value={share ? 'share' : 'time'} onChange={(event) => setShare(event.currentTarget.value === 'share')}>
						<option value="time">absolute time</option>
						<option value="share">share of samples</option>
					</select>
				</label>
				{flame && (
					<button aria-pressed={state.gone} onClick={() => set({ gone: !state.gone })}>
						Widths of the base
					</button>
				)}
				<span class="diff-words">{words(profile, state, tree, share)}</span>
				<span class="muted">
					{integer(noise)} of {integer(tree.n)} rows within noise
				</span>
				<Legend mode="diff" />
			</div>
			{flame ? (
				<FlameGraph
					profile={profile}
					state={state}
					set={set}
					tree={tree}
					mode="diff"
					diff={tree}
					weight={state.gone ? tree.base : undefined}
					label="Flame graph of the comparison. Arrow keys move between frames."
					lends
				/>
			) : (
				<div class="diff-table">
					<div class="d-head muted" aria-hidden="true">
						<span class="num">base {UNIT_SIGNS[state.unit]}</span>
						<span class="num">new {UNIT_SIGNS[state.unit]}</span>
						<span class="num">Δ</span>
						<span class="num">Δ %</span>
						<span>function</span>
					</div>
					<div class="rows" role="tree" aria-label="Call tree, base against new" tabIndex={0} ref={scroller} aria-activedescendant={index >= 0 ? `diff-${index}` : undefined} />
				</div>
			)}
		</section>
	);
}
