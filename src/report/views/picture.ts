// SPDX-License-Identifier: BSD-3-Clause
// Names, colours and texts of the boxes of a tree: what the flame view and the small icicles show.
import { type DiffTree, location, moduleOf, type Profile, type ViewTree } from '../model/types';
import { integer, KIND_NAMES, percent, time } from '../ui/format';
import type { ColorMode, Unit } from '../ui/state';
import { type Palette, type Tone } from './canvas';
import type { Picture } from './icicle';
import type { Layout } from './layout';

const labelCache = new WeakMap<Profile, string[]>();

/** Names of functions, each joined once. */
export function labels(profile: Profile): (func: number) => string {
	let known = labelCache.get(profile);
	if (!known) {
		labelCache.set(profile, (known = []));
	}
	const kept = known;
	return (func) => (func < 0 ? '[root]' : (kept[func] ??= profile.funcs.label(func)));
}

function moduleHue(name: string): number {
	let hash = 0x811c9dc5;
	for (let at = 0; at < name.length; at++) {
		hash = Math.imul(hash ^ name.charCodeAt(at), 0x01000193);
	}
	return (hash >>> 0) % 10;
}

const plainTone = (colours: Palette, fill: string): Tone => ({ fill, strong: fill, text: colours.text, hatched: false });

/** Index into the five steps of a comparison, from much less (0) to much more (4); 2: noise. */
export function diffStep(tree: DiffTree, row: number): number {
	if (tree.noisy[row]) {
		return 2;
	}
	const whole = Math.max(tree.total[row], tree.base[row], 1e-12);
	const part = tree.delta[row] / whole;
	return part <= -0.3 ? 0 : part < 0 ? 1 : part === 0 ? 2 : part < 0.3 ? 3 : 4;
}

const KIND_TONES = 9;
const HIDDEN = KIND_TONES;

export function toneTable(mode: ColorMode): (colours: Palette) => Tone[] {
	return (colours) => {
		const hidden: Tone = { fill: colours.raised, strong: colours.border, text: colours.text, hatched: false };
		if (mode === 'module') {
			return [...colours.hues, hidden];
		}
		if (mode === 'share') {
			return [...colours.heat.map((fill) => plainTone(colours, fill)), hidden];
		}
		if (mode === 'diff') {
			return [...colours.diff.map((fill) => plainTone(colours, fill)), hidden];
		}
		return [...colours.kinds, hidden];
	};
}

function tonesOf(profile: Profile, tree: ViewTree, layout: Layout, mode: ColorMode): Uint8Array {
	const tone = new Uint8Array(layout.n);
	const modules: number[] = [];
	for (let box = 0; box < layout.n; box++) {
		const row = layout.row[box];
		const func = row >= 0 ? tree.func[row] : -1;
		if (mode === 'kind') {
			tone[box] = row < 0 ? HIDDEN : func < 0 ? 7 : profile.funcs.kind[func];
		} else if (mode === 'module') {
			tone[box] = func < 0 ? 10 : (modules[func] ??= moduleHue(moduleOf(profile, func)));
		} else if (mode === 'share') {
			tone[box] = row < 0 ? 5 : Math.min(4, Math.floor(Math.sqrt(layout.w[box] / (layout.total || 1)) * 5));
		} else {
			tone[box] = row < 0 ? 5 : diffStep(tree as DiffTree, row);
		}
	}
	return tone;
}

export function hitsOf(layout: Layout, hit: Uint8Array | null): Uint8Array | null {
	if (!hit) {
		return null;
	}
	const match = new Uint8Array(layout.n);
	for (let box = 0; box < layout.n; box++) {
		const row = layout.row[box];
		match[box] = row >= 0 ? hit[row] : 0;
	}
	return match;
}

/** Δ as text: a glyph and a sign, never colour alone. */
export function deltaText(profile: Profile, unit: Unit, delta: number, total: number): string {
	const size = time(profile, unit === 'samples' ? 's' : unit, Math.abs(delta), 5, total, total);
	const tail = unit === 'ms' ? ' ms' : unit === 's' || unit === 'samples' ? ' s' : '';
	return delta > 0 ? `\u25b2 +${size}${tail}` : delta < 0 ? `\u25bc \u2212${size}${tail}` : `= ${size}${tail}`;
}

export interface PictureInput {
	profile: Profile;
	tree: ViewTree;
	layout: Layout;
	mode: ColorMode;
	hit: Uint8Array | null;
	unit: Unit;
	diff?: DiffTree | null;
}

export function pictureOf({ profile, tree, layout, mode, hit, unit, diff }: PictureInput): Picture {
	const name = labels(profile);
	const hidden = (row: number): string => {
		const group = tree.groups[-2 - row];
		const libraries = group.libraries.slice(0, 3).join(', ');
		return `${group.frames - 1} frame${group.frames === 2 ? '' : 's'} hidden${libraries ? ` (${libraries})` : ''}`;
	};
	const label = (box: number): string => {
		const row = layout.row[box];
		return row === -1 ? 'everything' : row < -1 ? hidden(row) : name(tree.func[row]);
	};
	const place = (box: number): string => {
		const row = layout.row[box];
		return row < 0 ? '' : location(profile, tree.func[row], tree.line[row]);
	};
	const above = (box: number): number => (layout.parent[box] < 0 ? layout.w[box] : layout.w[layout.parent[box]]);
	const amount = (box: number, value: number, count: number): string => {
		const short = unit === 'ms' ? 'ms' : 's';
		return `${time(profile, short, value, count, layout.total, above(box))} ${short}`;
	};
	const shares = (box: number): [string, string][] => [
		['of its parent', percent(above(box) > 0 ? layout.w[box] / above(box) : 0)],
		['of everything', percent(layout.total > 0 ? layout.w[box] / layout.total : 0)],
	];
	const tip = (box: number, run: number): [string, string][] => {
		if (run) {
			let sum = 0;
			for (let each = box; each < box + run; each++) {
				sum += layout.w[each];
			}
			return [
				['', `+${integer(run)} smaller frame${run === 1 ? '' : 's'}`],
				['total', amount(box, sum, 5)],
				['', 'double click zooms to them'],
			];
		}
		const row = layout.row[box];
		if (row < 0) {
			return [['', label(box)], ['total', amount(box, layout.w[box], 5)], ...shares(box), ...(row < -1 ? ([['', 'double click shows them']] as [string, string][]) : [])];
		}
		const count = tree.count[row];
		const lines: [string, string][] = [['', label(box)]];
		const where = place(box);
		if (where) {
			lines.push(['', where]);
		}
		const func = tree.func[row];
		lines.push(['total', amount(box, tree.total[row], count)], ['self', amount(box, tree.self[row], count)], ...shares(box));
		lines.push(['samples', count < 5 ? `${integer(count)}: an estimate` : integer(count)]);
		if (func >= 0) {
			lines.push(['kind', KIND_NAMES[profile.funcs.kind[func]]]);
		}
		if (profile.meta.has_states && tree.total[row] > 0) {
			const whole = tree.total[row];
			const part = (value: number): string => `${Math.round((value / whole) * 100)} %`;
			lines.push(['on CPU / waiting / GIL', `${part(tree.running[row])} / ${part(tree.waiting[row])} / ${part(tree.gil[row])}`]);
		}
		if (diff) {
			lines.push(['base', `${time(profile, 's', diff.base[row], 5, 1, 1)} s`]);
			lines.push(['change', diff.gone[row] ? 'gone' : deltaText(profile, 's', diff.delta[row], layout.total) + (diff.noisy[row] ? ' (within noise)' : '')]);
		}
		return lines;
	};
	const spoken = (box: number): string => {
		const row = layout.row[box];
		const parent = layout.parent[box];
		const parts = [label(box)];
		if (place(box)) {
			parts.push(place(box));
		}
		parts.push(`total ${amount(box, layout.w[box], row >= 0 ? tree.count[row] : 5)}`, `${percent(layout.total > 0 ? layout.w[box] / layout.total : 0)} of everything`);
		parts.push(`level ${layout.depth[box] + 1}`);
		if (parent >= 0) {
			parts.push(`${box - layout.start[parent] + 1} of ${layout.count[parent]}`);
		}
		return parts.join(', ');
	};
	return { layout, tone: tonesOf(profile, tree, layout, mode), tones: toneTable(mode), match: hitsOf(layout, hit), label, place, tip, spoken };
}
