// SPDX-License-Identifier: BSD-3-Clause
// One file with the time of every line. Without its text the lines are still listed, and the page says
// why the text is not there.
import { useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { functions, lines, timeInScope } from '../model/index';
import { type LineRow, type Link, location, path, type Profile, type Scope } from '../model/types';
import { foundOf } from '../ui/derived';
import { integer, percent, time, UNIT_SIGNS } from '../ui/format';
import { Panel } from '../ui/menu';
import { lend, type ViewProps } from '../ui/state';
import { onTheme, palette } from './canvas';
import { VirtualList } from './list';
import { labels } from './picture';

interface Listed {
	line: number; // 0: a stretch of lines that is not there
	text: string | null;
	to: number; // last line of such a stretch
	heat: LineRow | null;
	owner: number; // function of the line
}

interface Listing {
	rows: Listed[];
	most: number;
	hot: number[]; // indices of rows that took time
	at: Map<number, number>; // line -> row
}

const HOT = 0.01; // of the hottest line

/** Lines of the text that was embedded, and lines that took time; in order. */
export function listing(profile: Profile, scope: Scope, func: number, by: 'total' | 'self'): Listing {
	const all = lines(profile, scope);
	const heat = new Map<number, LineRow>();
	const owners = new Map<number, number>();
	for (const each of all.inFile(func)) {
		for (const [line, row] of all.get(each) || []) {
			const known = heat.get(line);
			if (!known || row.total > known.total) {
				heat.set(line, row);
				owners.set(line, each);
			}
		}
	}
	for (const [line, row] of all.ofFile(func)) {
		heat.set(line, row);
	}
	const rows: Listed[] = [];
	const place = (line: number, text: string | null): void => {
		rows.push({ line, text, to: line, heat: heat.get(line) || null, owner: owners.get(line) ?? -1 });
	};
	const source = profile.source.get(profile.funcs.file[func]);
	const bare = [...heat.keys()].filter((line) => line > 0).sort((a, b) => a - b);
	let next = 0;
	let reached = 0;
	const holes = !!source?.parts.some((part) => part.text);
	const bareUpTo = (line: number): void => {
		while (next < bare.length && bare[next] < line) {
			if (holes && bare[next] > reached + 1) {
				rows.push({ line: 0, text: null, to: bare[next] - 1, heat: null, owner: -1 });
			}
			reached = bare[next];
			place(bare[next++], null);
		}
		if (holes && line < Infinity && line > reached + 1) {
			rows.push({ line: 0, text: null, to: line - 1, heat: null, owner: -1 });
			reached = line - 1;
		}
	};
	for (const part of (source?.parts || []).slice().sort((a, b) => a.first - b.first)) {
		if (!part.text) {
			continue;
		}
		bareUpTo(part.first);
		const texts = part.text.split('\n');
		if (texts.length > 1 && texts[texts.length - 1] === '') {
			texts.pop();
		}
		texts.forEach((text, index) => {
			const line = part.first + index;
			if (line > reached) {
				place(line, text);
				reached = line;
			}
		});
		while (next < bare.length && bare[next] <= reached) {
			next++;
		}
	}
	bareUpTo(Infinity);
	let most = 0;
	for (const row of rows) {
		most = Math.max(most, row.heat ? row.heat[by] : 0);
	}
	const hot: number[] = [];
	const at = new Map<number, number>();
	rows.forEach((row, index) => {
		if (row.line > 0) {
			at.set(row.line, index);
		}
		if (row.heat && most > 0 && row.heat[by] >= HOT * most) {
			hot.push(index);
		}
	});
	return { rows, most, hot, at };
}

/** Why there is no text, or what is wrong with it; empty when all is well. */
export function sourceNote(profile: Profile, func: number): string {
	const source = profile.source.get(profile.funcs.file[func]);
	if (source) {
		const reason = source.reason ? source.reason : '';
		const stale = source.stale ? 'The file changed after the process started: this may not match what ran.' : '';
		return [stale, reason && !source.parts.length ? `No source: ${reason}` : reason].filter(Boolean).join(' ');
	}
	if (profile.meta.source === 'none') {
		return 'Source not embedded: add -p source=app.';
	}
	if (profile.meta.source === 'app' && profile.funcs.kind[func] !== 0) {
		return 'Source of libraries is not embedded: add -p source=all.';
	}
	return 'No source: the file was not readable, took too little time, or is over the limit.';
}

function step(value: number, most: number): number {
	return value > 0 && most > 0 ? Math.max(1, Math.min(5, Math.ceil(Math.sqrt(value / most) * 5))) : 0;
}

export function SourceView({ profile, state, set }: ViewProps) {
	const scroller = useRef<HTMLDivElement>(null);
	const map = useRef<HTMLCanvasElement>(null);
	const list = useRef<VirtualList | null>(null);
	const [by, setBy] = useState<'total' | 'self'>('total');
	const [current, setCurrent] = useState(-1);
	const [popup, setPopup] = useState<{ row: Listed; at: { left: number; top: number; bottom: number } } | null>(null);
	const files = useMemo(() => {
		const rows = functions(profile, state.scope, state.filters, 'file').filter((row) => row.func >= 0 && profile.funcs.kind[row.func] < 7 && !path(profile, row.func).startsWith('<'));
		/* the reader's own files come first */
		const own = (func: number): number => (profile.funcs.kind[func] === 0 ? 0 : 1);
		return rows.sort((a, b) => own(a.func) - own(b.func) || b.total - a.total || a.func - b.func);
	}, [profile, state.scope, state.filters]);
	const selected = state.selection && state.selection.func >= 0 && profile.funcs.kind[state.selection.func] < 7 ? state.selection.func : -1;
	const func = selected >= 0 ? selected : files.length ? files[0].func : -1;
	const file = func >= 0 ? profile.funcs.file[func] : -1;
	const listed = useMemo(
		() => (func >= 0 ? listing(profile, state.scope, func, by) : { rows: [], most: 0, hot: [], at: new Map<number, number>() }),
		[profile, state.scope, file, by],
	);
	const whole = useMemo(() => timeInScope(profile, state.scope), [profile, state.scope]);
	const found = foundOf(profile, state.search);
	const match = found && !found.empty ? found.funcs : null;
	const live = useRef({ listed, by, match, current, state, whole, files, file });
	live.current = { listed, by, match, current, state, whole, files, file };

	const hits = (row: Listed): boolean => {
		const marks = live.current.match;
		return !!marks && ((row.owner >= 0 && marks[row.owner] === 1) || !!row.heat?.calls.some((link) => marks[link.func] === 1));
	};
	const move = (index: number, select = true): void => {
		const { listed } = live.current;
		const row = listed.rows[index];
		if (!row) {
			return;
		}
		setCurrent(index);
		list.current?.reveal(index, 3);
		if (select && row.line > 0) {
			const owner = row.owner >= 0 ? row.owner : func;
			set({ selection: { func: owner, node: -1, row: -1, line: row.line } });
		}
	};
	const openPopup = (index: number): void => {
		const row = live.current.listed.rows[index];
		const element = list.current?.elementOf(index);
		if (row?.heat && element) {
			const box = element.getBoundingClientRect();
			setPopup({ row, at: { left: box.left + 160, top: box.top, bottom: box.bottom } });
		}
	};
	const goFile = (direction: 1 | -1): void => {
		const { files, file } = live.current;
		const now = files.findIndex((row) => profile.funcs.file[row.func] === file);
		const next = files[(now + direction + files.length) % files.length];
		if (next) {
			set({ selection: { func: next.func, node: -1, row: -1 } });
		}
	};
	const acts = useRef({ move, openPopup, goFile, hits });
	acts.current = { move, openPopup, goFile, hits };

	useLayoutEffect(() => {
		const host = scroller.current as HTMLElement;
		const fill = (element: HTMLElement, at: number): void => {
			const { listed, by, current, state, whole } = live.current;
			const row = listed.rows[at];
			const [own, total, number, text, more] = element.children as unknown as HTMLElement[];
			const heat = row.heat;
			const amount = (value: number): string => (heat && value > 0 ? time(profile, state.unit, value, heat.count, whole, listed.most) : '');
			element.className = `s heat-${step(heat ? heat[by] : 0, listed.most)}${at === current ? ' sel' : ''}${acts.current.hits(row) ? ' hit' : ''}`;
			element.id = `line-${at}`;
			element.dataset.line = String(row.line);
			own.textContent = amount(heat?.self ?? 0);
			total.textContent = amount(heat?.total ?? 0);
			number.textContent = row.line ? String(row.line) : '\u22ef';
			text.textContent = row.line ? (row.text ?? (row.owner >= 0 ? `in ${labels(profile)(row.owner)}` : '')) : `up to line ${row.to}: not embedded`;
			text.className = row.text === null ? 's-text muted' : 's-text';
			element.setAttribute('aria-selected', String(at === current));
			element.setAttribute('aria-label', row.line ? `line ${row.line}, ${heat ? `self ${own.textContent || 0}, total ${total.textContent || 0}` : 'no time'}: ${row.text ?? ''}` : text.textContent);
			(more as HTMLElement).hidden = !heat || (!heat.callers.length && !heat.calls.length);
		};
		const virtual = new VirtualList(host, {
			create: () => {
				const element = document.createElement('div');
				element.setAttribute('role', 'option');
				for (const name of ['num', 'num', 'num muted', 's-text']) {
					const part = document.createElement('span');
					part.className = name;
					element.append(part);
				}
				const more = document.createElement('button');
				more.className = 'plain s-more';
				more.textContent = 'calls';
				more.tabIndex = -1;
				more.setAttribute('aria-label', 'Called from, and calls');
				element.append(more);
				return element;
			},
			fill,
		});
		list.current = virtual;
		const onClick = (event: MouseEvent): void => {
			const target = event.target instanceof Element ? event.target : null;
			const element = target?.closest('.s');
			if (element) {
				const index = Number(element.id.slice('line-'.length));
				acts.current.move(index);
				if (target?.closest('button')) {
					acts.current.openPopup(index);
				}
			}
		};
		host.addEventListener('click', onClick);
		const giveBack = lend({
			keys: (event) => {
				const { listed, current } = live.current;
				if (event.altKey || event.ctrlKey || event.metaKey) {
					return false;
				}
				const last = listed.rows.length - 1;
				const goes: Record<string, number> = {
					ArrowDown: current + 1,
					ArrowUp: current - 1,
					Home: 0,
					End: last,
					PageDown: current + virtual.page,
					PageUp: current - virtual.page,
				};
				if (event.key in goes) {
					acts.current.move(Math.max(0, Math.min(last, goes[event.key])));
					return true;
				}
				const { hot } = listed;
				switch (event.key) {
					case 'n':
						acts.current.move(hot.find((index) => index > current) ?? hot[0] ?? -1);
						return true;
					case 'p':
						acts.current.move(hot.filter((index) => index < current).pop() ?? hot[hot.length - 1] ?? -1);
						return true;
					case ']':
						acts.current.goFile(1);
						return true;
					case '[':
						acts.current.goFile(-1);
						return true;
					case 'Enter':
						acts.current.openPopup(current);
						return true;
					default:
						return false;
				}
			},
			step: (direction) => {
				const { listed, current } = live.current;
				const count = listed.rows.length;
				for (let tried = 1; tried <= count; tried++) {
					const index = (((current + direction * tried) % count) + count) % count;
					if (acts.current.hits(listed.rows[index])) {
						acts.current.move(index);
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
		};
	}, [profile]);

	useLayoutEffect(() => {
		list.current?.reset(listed.rows.length);
		const wanted = state.selection?.line ?? 0;
		let index = wanted ? (listed.at.get(wanted) ?? -1) : -1;
		if (index < 0 && func >= 0) {
			/* the hottest line of the function, else of the file */
			for (const scope of [func, -1]) {
				for (const candidate of listed.hot) {
					const row = listed.rows[candidate];
					if ((scope < 0 || row.owner === scope) && (index < 0 || (row.heat as LineRow)[by] > (listed.rows[index].heat as LineRow)[by])) {
						index = candidate;
					}
				}
				if (index >= 0) {
					break;
				}
			}
		}
		setCurrent(index);
		if (index >= 0) {
			list.current?.moveToRow(Math.max(0, index - 8));
		}
	}, [listed]);
	useLayoutEffect(() => {
		const line = state.selection?.line;
		const index = line ? listed.at.get(line) : undefined;
		if (index !== undefined && index !== current) {
			setCurrent(index);
			list.current?.reveal(index, 3);
		}
	}, [state.selection]);
	useLayoutEffect(() => list.current?.refresh(), [current, match, state.unit, whole]);

	useLayoutEffect(() => {
		const canvas = map.current as HTMLCanvasElement;
		const draw = (): void => {
			const height = Math.max(1, canvas.clientHeight);
			canvas.width = 12;
			canvas.height = height;
			const context = canvas.getContext('2d') as CanvasRenderingContext2D;
			const colours = palette();
			context.fillStyle = colours.surface;
			context.fillRect(0, 0, 12, height);
			const count = listed.rows.length || 1;
			for (let heat = 1; heat <= 5; heat++) {
				context.fillStyle = colours.heat[heat - 1];
				for (let index = 0; index < listed.rows.length; index++) {
					const row = listed.rows[index];
					if (row.heat && step(row.heat[by], listed.most) === heat) {
						context.fillRect(0, (index / count) * height, 12, Math.max(2, height / count));
					}
				}
			}
		};
		const observer = new ResizeObserver(draw);
		observer.observe(canvas);
		const forget = onTheme(draw);
		return () => {
			observer.disconnect();
			forget();
		};
	}, [listed]);

	const links = (title: string, entries: Link[]) => (
		<>
			<h3>{title}</h3>
			{entries.length ? (
				<table class="mini">
					<tbody>
						{entries.slice(0, 30).map((link) => (
							<tr key={`${link.func} ${link.line} ${link.node}`}>
								<td class="num">{time(profile, state.unit, link.total, link.count, whole, listed.most)}</td>
								<td>
									<button
										class="link"
										onClick={() => {
											setPopup(null);
											set({ selection: { func: link.func, node: -1, row: -1, line: link.line || undefined } });
										}}
									>
										{labels(profile)(link.func)} <span class="muted">{location(profile, link.func, link.line)}</span>
									</button>
								</td>
							</tr>
						))}
					</tbody>
				</table>
			) : (
				<p class="muted">none</p>
			)}
			{entries.length > 30 && <p class="muted">and {integer(entries.length - 30)} more</p>}
		</>
	);
	const note = func >= 0 ? sourceNote(profile, func) : '';
	const now = files.find((row) => profile.funcs.file[row.func] === file);
	return (
		<section class="view" aria-label="Source">
			<div class="view-bar">
				<button onClick={() => goFile(-1)} title="[" aria-label="Previous file">
					◂
				</button>
				<select aria-label="File" class="files" value={String(file)} onChange={(event) => set({ selection: { func: Number(event.currentTarget.value), node: -1, row: -1 } })}>
					{!now && func >= 0 && <option value={String(file)}>{path(profile, func)}</option>}
					{files.slice(0, 400).map((row) => (
						<option key={row.key} value={String(profile.funcs.file[row.func])}>
							{`${percent(whole > 0 ? row.total / whole : 0)}  ${profile.strings[profile.funcs.short[row.func]] || path(profile, row.func)}`}
						</option>
					))}
				</select>
				<button onClick={() => goFile(1)} title="]" aria-label="Next file">
					▸
				</button>
				<label>
					Heat
					<select value={by} onChange={(event) => setBy(event.currentTarget.value as 'total' | 'self')}>
						<option value="total">total</option>
						<option value="self">self</option>
					</select>
				</label>
				<span class="muted">{integer(listed.hot.length)} hot lines: n, p</span>
			</div>
			{note && (
				<p class="source-note" role="note">
					{note}
				</p>
			)}
			<div class="s-head muted" aria-hidden="true">
				<span class="num">self {UNIT_SIGNS[state.unit]}</span>
				<span class="num">total {UNIT_SIGNS[state.unit]}</span>
				<span class="num">line</span>
			</div>
			<div class="source">
				<div class="rows" role="listbox" aria-label={func >= 0 ? `Lines of ${path(profile, func)}` : 'Lines'} tabIndex={0} ref={scroller} aria-activedescendant={current >= 0 ? `line-${current}` : undefined} />
				<canvas
					ref={map}
					class="minimap"
					aria-hidden="true"
					onPointerDown={(event) => {
						const box = event.currentTarget.getBoundingClientRect();
						move(Math.min(listed.rows.length - 1, Math.floor(((event.clientY - box.top) / box.height) * listed.rows.length)), false);
					}}
				/>
			</div>
			{popup?.row.heat && (
				<Panel label={`Line ${popup.row.line}`} at={() => popup.at} close={() => setPopup(null)}>
					{links('Called from', popup.row.heat.callers)}
					{links('Calls', popup.row.heat.calls)}
				</Panel>
			)}
		</section>
	);
}
