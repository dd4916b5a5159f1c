// SPDX-License-Identifier: BSD-3-Clause
// The flame graph: the tree's rows as boxes, with the tool bar that says how. The drawing itself is
// icicle.ts; this file feeds it and keeps the shared selection, zoom and search in step.
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { diffTree } from '../model/index';
import { matches } from '../model/search';
import type { DiffTree, Filters, Profile, Scope, ViewTree } from '../model/types';
import { RowMenu, type Target } from '../ui/actions';
import { foundOf, treeOf } from '../ui/derived';
import { KIND_NAMES } from '../ui/format';
import { type ColorMode, lend, type Selection, type ViewProps } from '../ui/state';
import { Icicle } from './icicle';
import { flameSvg } from './flame_export';
import { type Layout, layoutTree } from './layout';
import { labels, pictureOf } from './picture';
import { findRow } from './rows';

let lastDiff: { profile: Profile; scope: Scope; filters: Filters; share: boolean; tree: DiffTree } | null = null;

/** The comparison tree of a state; the last one is kept. */
export function diffOf(profile: Profile, scope: Scope, filters: Filters, share: boolean): DiffTree {
	if (lastDiff && lastDiff.profile === profile && lastDiff.scope === scope && lastDiff.filters === filters && lastDiff.share === share) {
		return lastDiff.tree;
	}
	const tree = diffTree(profile, scope, filters, share ? 'share' : 'time');
	lastDiff = { profile, scope, filters, share, tree };
	return tree;
}

/** What a search marks in a tree. */
export function useHits(profile: Profile, tree: ViewTree, query: string): Uint8Array | null {
	const found = foundOf(profile, query);
	return useMemo(() => (found && !found.empty ? matches(tree, found).hit : null), [tree, found]);
}

const COLOURS: [ColorMode, string][] = [
	['kind', 'kind of code'],
	['module', 'module'],
	['share', 'share of time'],
	['diff', 'change'],
];

const LEGENDS: Record<ColorMode, [string, string][]> = {
	kind: [0, 1, 2, 3, 4, 5, 6].map((kind) => [`kind-${kind}`, KIND_NAMES[kind]]),
	module: [],
	share: [
		['heat-1', 'little'],
		['heat-3', ''],
		['heat-5', 'much'],
	],
	diff: [
		['diff-1', '\u25bc less'],
		['diff-3', 'same or noise'],
		['diff-5', '\u25b2 more'],
	],
};

export function Legend({ mode }: { mode: ColorMode }) {
	return (
		<ul class="legend" aria-label="Colours">
			{LEGENDS[mode].map(([name, text]) => (
				<li key={name}>
					<span class={`swatch swatch-${name}`} />
					{text}
				</li>
			))}
		</ul>
	);
}

interface GraphProps extends ViewProps {
	tree: ViewTree;
	mode: ColorMode;
	diff?: DiffTree | null;
	/** Widths of the base in place of the new ones. */
	weight?: Float64Array;
	label: string;
	/** Keys, search steps and pictures of the page are ours. */
	lends?: boolean;
	extraKeys?: (event: KeyboardEvent) => boolean;
}

/** The canvas with selection, zoom and search; the diff view uses it as well. */
export function FlameGraph({ profile, state, set, tree, mode, diff, weight, label, lends, extraKeys }: GraphProps) {
	const host = useRef<HTMLDivElement>(null);
	const icicle = useRef<Icicle | null>(null);
	const layoutRef = useRef<Layout | null>(null);
	const own = useRef<{ selection: Selection | null; zoom: number }>({ selection: null, zoom: -1 });
	const [opened, setOpened] = useState<Set<number>>(new Set());
	const [menu, setMenu] = useState<{ target: Target; at: { left: number; top: number; bottom: number } } | null>(null);
	const live = useRef({ tree, set, extraKeys, profile, state });
	live.current = { tree, set, extraKeys, profile, state };
	const openedTree = useRef(tree);
	/* groups are rows of one tree: another tree starts with all of them shut */
	const shown = openedTree.current === tree ? opened : new Set<number>();
	const grouped = state.filters.collapse !== 'off';
	const widths = weight ?? (tree.n && !(tree.total[0] > 0) ? tree.count : undefined);
	const layout = useMemo(() => {
		const name = labels(profile);
		return layoutTree(tree, { order: state.order, name: (row) => name(tree.func[row]), grouped, opened: shown, weight: widths });
	}, [tree, state.order, grouped, opened, widths]);
	layoutRef.current = layout;
	const hit = useHits(profile, tree, state.search);
	const picture = useMemo(
		() => pictureOf({ profile, tree, layout, mode, hit, unit: state.unit, diff }),
		[profile, tree, layout, mode, hit, state.unit, diff],
	);

	useLayoutEffect(() => {
		const target = (box: number): Selection | null => {
			const row = layoutRef.current ? layoutRef.current.row[box] : -1;
			const now = live.current.tree;
			return row >= 0 ? { func: now.func[row], node: now.node[row], row } : null;
		};
		const drawing = new Icicle(host.current as HTMLElement, label, {
			select: (box) => {
				const selection = target(box);
				if (selection) {
					own.current.selection = selection;
					live.current.set({ selection });
				}
			},
			zoomed: (box) => {
				const selection = target(box);
				const zoom = selection && box !== 0 ? selection.node : -1;
				own.current.zoom = zoom;
				live.current.set({ zoom });
			},
			open: (box) => {
				const row = layoutRef.current ? layoutRef.current.row[box] : -1;
				if (row >= -1) {
					return false;
				}
				const group = live.current.tree.groups[-2 - row];
				openedTree.current = live.current.tree;
				setOpened((before) => new Set([...before, group.root]));
				return true;
			},
			menu: (box, x, y) => {
				const row = layoutRef.current ? layoutRef.current.row[box] : -1;
				const now = live.current.tree;
				if (row >= 0 && now.func[row] >= 0) {
					setMenu({ target: { func: now.func[row], node: now.node[row], line: now.line[row] }, at: { left: x, top: y, bottom: y } });
				}
			},
		});
		icicle.current = drawing;
		const giveBack = lends
			? lend({
					keys: (event) => !!live.current.extraKeys?.(event) || drawing.key(event),
					step: (direction) => drawing.step(direction),
					svg: () => flameSvg(drawing, live.current.profile.meta.title),
					canvas: () => drawing.surface.canvas,
					focus: () => drawing.focus(),
				})
			: null;
		return () => {
			giveBack?.();
			drawing.destroy();
		};
	}, []);

	useLayoutEffect(() => {
		icicle.current?.set(picture, state.flip, false);
	}, [picture, state.flip]);

	useEffect(() => {
		const drawing = icicle.current;
		if (!drawing) {
			return;
		}
		const zoomedTo = drawing.zoomBox === 0 ? -1 : layout.row[drawing.zoomBox] >= 0 ? tree.node[layout.row[drawing.zoomBox]] : -1;
		if (state.zoom !== zoomedTo && (state.zoom !== own.current.zoom || (state.zoom >= 0 && drawing.zoomBox === 0))) {
			own.current.zoom = state.zoom;
			if (state.zoom >= 0 && state.zoom < profile.nodes.n) {
				const row = findRow(profile, tree, { func: profile.nodes.func[state.zoom], node: state.zoom, row: -1 });
				if (row >= 0 && layout.rowBox[row] >= 0) {
					drawing.zoomTo(layout.rowBox[row], false);
				}
			} else {
				drawing.reset();
			}
		}
	}, [layout, state.zoom]);

	useEffect(() => {
		const { selection } = state;
		const drawing = icicle.current;
		if (!drawing) {
			return;
		}
		const row = selection ? findRow(profile, tree, selection) : -1;
		/* a frame hidden in a group is shown by what stands for it: the nearest ancestor that is drawn */
		let shownRow = row;
		while (shownRow >= 0 && layout.rowBox[shownRow] < 0) {
			shownRow = tree.parent[shownRow];
		}
		drawing.show(shownRow >= 0 ? layout.rowBox[shownRow] : -1, selection !== own.current.selection);
	}, [layout, state.selection]);

	return (
		<div class="flame-host" ref={host}>
			{menu && <RowMenu profile={profile} state={state} set={set} target={menu.target} at={menu.at} close={() => setMenu(null)} />}
		</div>
	);
}

export function FlameView({ profile, state, set }: ViewProps) {
	const mode: ColorMode = state.color === 'diff' && !profile.base ? 'kind' : state.color;
	const diff = mode === 'diff' ? diffOf(profile, state.scope, state.filters, profile.meta.diff?.mode === 'share') : null;
	const tree = diff ?? treeOf(profile, state.scope, state.filters);
	const turn = (): void => set({ flip: !state.flip });
	const callers = (): void => set({ filters: { ...state.filters, invert: !state.filters.invert }, zoom: -1 });
	const keys = (event: KeyboardEvent): boolean => {
		if (event.altKey || event.ctrlKey || event.metaKey) {
			return false;
		}
		if (event.key === 'i') {
			turn();
			return true;
		}
		if (event.key === 'c') {
			callers();
			return true;
		}
		return false;
	};
	return (
		<section class="view" aria-label="Flame graph">
			<div class="view-bar">
				<button aria-pressed={state.flip} onClick={turn} title="i">
					Root at the bottom
				</button>
				<button aria-pressed={state.filters.invert} onClick={callers} title="c">
					Callers
				</button>
				<label>
					Order
					<select value={state.order} onChange={(event) => set({ order: event.currentTarget.value as 'weight' | 'name' })}>
						<option value="weight">by weight</option>
						<option value="name">by name</option>
					</select>
				</label>
				<label>
					Colour
					<select value={mode} onChange={(event) => set({ color: event.currentTarget.value as ColorMode })}>
						{COLOURS.filter(([value]) => value !== 'diff' || profile.base).map(([value, text]) => (
							<option key={value} value={value}>
								{text}
							</option>
						))}
					</select>
				</label>
				<Legend mode={mode} />
			</div>
			<FlameGraph
				profile={profile}
				state={state}
				set={set}
				tree={tree}
				mode={mode}
				diff={diff}
				weight={diff && state.gone ? diff.base : undefined}
				label="Flame graph. Arrow keys move between frames, Enter zooms, Backspace goes back, 0 resets."
				lends
				extraKeys={keys}
			/>
		</section>
	);
}
