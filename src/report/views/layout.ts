// SPDX-License-Identifier: BSD-3-Clause
// Places of boxes: a tree becomes boxes in level order, the children of one box next to each other and
// in the order they are drawn. What is too narrow to be drawn is found as runs of siblings, so that a
// picture costs what it shows and not what the profile holds. No recursion: stacks may be 100 000 deep.
import type { ViewTree } from '../model/types';

export interface Layout {
	n: number;
	row: Int32Array; // row of the tree; -1: everything, -2 - g: the hidden frames of group g
	parent: Int32Array;
	start: Int32Array; // first child
	count: Int32Array;
	depth: Int32Array;
	x: Float64Array; // seconds from the left edge
	w: Float64Array;
	rowBox: Int32Array; // row -> box, or -1 while hidden in a group
	depths: number;
	byWeight: boolean;
	total: number;
}

export interface LayoutOptions {
	order: 'weight' | 'name';
	/** Names of the rows, for the order by name. */
	name?: (row: number) => string;
	/** Draws the frames of library groups as one box, but for those opened. */
	grouped?: boolean;
	opened?: Set<number>;
	/** Widths other than the tree's totals (the base of a comparison). */
	weight?: Float64Array;
}

export function layoutTree(tree: ViewTree, options: LayoutOptions): Layout {
	const weight = options.weight || tree.total;
	const roots: number[] = [];
	for (let row = 0; row < tree.n; row++) {
		if (tree.parent[row] < 0) {
			roots.push(row);
		}
	}
	const grouped = !!options.grouped && tree.groups.length > 0;
	const most = tree.n + 1 + (grouped ? tree.groups.length : 0);
	const layout: Layout = {
		n: 0,
		row: new Int32Array(most),
		parent: new Int32Array(most),
		start: new Int32Array(most),
		count: new Int32Array(most),
		depth: new Int32Array(most),
		x: new Float64Array(most),
		w: new Float64Array(most),
		rowBox: new Int32Array(tree.n).fill(-1),
		depths: 0,
		byWeight: options.order === 'weight',
		total: 0,
	};
	const { row, parent, start, count, depth, x, w, rowBox } = layout;
	const hidden = (group: number): boolean => grouped && group >= 0 && !options.opened?.has(tree.groups[group].root);
	let n = 0;
	const add = (of: number, at: number, width: number, above: number): void => {
		row[n] = of;
		parent[n] = above;
		w[n] = width;
		x[n] = at;
		depth[n] = above < 0 ? 0 : depth[above] + 1;
		if (of >= 0) {
			rowBox[of] = n;
		}
		n++;
	};
	let kids: number[] = [];
	let sums: number[] = [];
	/* everything under a hidden group: the rows that leave it, gathered with a stack of our own */
	const stack: number[] = [];
	const exits = (from: number, group: number): void => {
		for (let child = tree.first[from]; child >= 0; child = tree.next[child]) {
			if (tree.group[child] === group) {
				stack.push(child);
			}
		}
		while (stack.length) {
			const inner = stack.pop() as number;
			for (let child = tree.first[inner]; child >= 0; child = tree.next[child]) {
				if (tree.group[child] === group) {
					stack.push(child);
				} else {
					kids.push(child);
					sums.push(weight[child]);
				}
			}
		}
	};
	const name = options.name;
	const rank = (a: number, b: number): number => {
		if (options.order === 'name' && name) {
			const left = kids[a] < -1 ? '' : name(kids[a]);
			const right = kids[b] < -1 ? '' : name(kids[b]);
			if (left !== right) {
				return left < right ? -1 : 1;
			}
		}
		return sums[b] - sums[a] || a - b;
	};
	let whole = 0;
	for (const root of roots) {
		whole += weight[root];
	}
	layout.total = Math.max(whole, roots.length === 1 ? 0 : options.weight ? 0 : tree.totalTime);
	if (roots.length === 1) {
		add(roots[0], 0, whole, -1);
	} else {
		add(-1, 0, layout.total, -1);
	}
	for (let box = 0; box < n; box++) {
		kids = [];
		sums = [];
		const at = row[box];
		let sorted = !options.weight && options.order === 'weight';
		if (at === -1) {
			for (const root of roots) {
				kids.push(root);
				sums.push(weight[root]);
			}
			sorted = false;
		} else if (at < -1) {
			const group = -2 - at;
			exits(tree.groups[group].root, group);
			sorted = false;
		} else {
			const group = tree.group[at];
			const shut = hidden(group) && tree.groups[group].root === at;
			let inside = 0;
			let some = false;
			for (let child = tree.first[at]; child >= 0; child = tree.next[child]) {
				if (shut && tree.group[child] === group) {
					inside += weight[child];
					some = true;
				} else {
					kids.push(child);
					sums.push(weight[child]);
				}
			}
			if (some) {
				kids.push(-2 - group);
				sums.push(inside);
				sorted = false;
			}
		}
		start[box] = n;
		count[box] = kids.length;
		let sequence: number[] | null = null;
		if (!sorted && kids.length > 1) {
			sequence = kids.map((_, index) => index).sort(rank);
		}
		let left = x[box];
		for (let index = 0; index < kids.length; index++) {
			const kid = sequence ? sequence[index] : index;
			add(kids[kid], left, sums[kid], box);
			left += sums[kid];
		}
	}
	layout.n = n;
	layout.depths = n ? depth[n - 1] + 1 : 0;
	return layout;
}

/** What one picture shows. `box` is the first box of a run when `run` is more than zero. */
export interface Drawn {
	n: number;
	box: Int32Array;
	run: Int32Array;
	depth: Int32Array;
	left: Float64Array; // pixels
	width: Float64Array;
}

export function newDrawn(): Drawn {
	return {
		n: 0,
		box: new Int32Array(1024),
		run: new Int32Array(1024),
		depth: new Int32Array(1024),
		left: new Float64Array(1024),
		width: new Float64Array(1024),
	};
}

function grow(drawn: Drawn): void {
	const size = drawn.box.length * 2;
	for (const key of ['box', 'run', 'depth'] as const) {
		const bigger = new Int32Array(size);
		bigger.set(drawn[key]);
		drawn[key] = bigger;
	}
	for (const key of ['left', 'width'] as const) {
		const bigger = new Float64Array(size);
		bigger.set(drawn[key]);
		drawn[key] = bigger;
	}
}

/** Boxes narrower than this many pixels are drawn as one with their neighbours. */
export const SMALLEST = 0.5;

/**
 * The boxes of seconds `from` to `to` on `pixels` and of the depths given. A level is walked only under
 * boxes that are wide enough, and only where it is in sight.
 */
export function drawnBoxes(layout: Layout, from: number, to: number, pixels: number, top: number, bottom: number, drawn: Drawn): void {
	const { x, w, start, count } = layout;
	const scale = pixels / Math.max(1e-12, to - from);
	const small = SMALLEST / scale;
	drawn.n = 0;
	const put = (box: number, run: number, depth: number, left: number, right: number): void => {
		if (depth < top) {
			return;
		}
		if (drawn.n === drawn.box.length) {
			grow(drawn);
		}
		const at = drawn.n++;
		drawn.box[at] = box;
		drawn.run[at] = run;
		drawn.depth[at] = depth;
		drawn.left[at] = (left - from) * scale;
		drawn.width[at] = (right - left) * scale;
	};
	if (!layout.n) {
		return;
	}
	let level: number[] = [0];
	let below: number[] = [];
	put(0, 0, 0, x[0], x[0] + w[0]);
	for (let depth = 1; depth <= bottom && level.length; depth++) {
		below.length = 0;
		for (let index = 0; index < level.length; index++) {
			const box = level[index];
			const first = start[box];
			const end = first + count[box];
			/* the first child that reaches into the window */
			let low = first;
			let high = end;
			while (low < high) {
				const middle = (low + high) >> 1;
				if (x[middle] + w[middle] <= from) {
					low = middle + 1;
				} else {
					high = middle;
				}
			}
			let child = low;
			while (child < end && x[child] < to) {
				if (w[child] >= small) {
					put(child, 0, depth, x[child], x[child] + w[child]);
					below.push(child);
					child++;
					continue;
				}
				const begin = child;
				if (layout.byWeight) {
					/* the heaviest come first: all that follow are small as well */
					child = end;
				} else {
					while (child < end && w[child] < small && x[child] < to) {
						child++;
					}
				}
				const right = x[child - 1] + w[child - 1];
				if (right > x[begin]) {
					put(begin, child - begin, depth, x[begin], right);
				}
			}
		}
		[level, below] = [below, level];
	}
}

/** Index in `drawn` of what is painted at a place, or -1. */
export function hitBox(drawn: Drawn, depth: number, pixel: number): number {
	let best = -1;
	for (let at = 0; at < drawn.n; at++) {
		if (drawn.depth[at] === depth && pixel >= drawn.left[at] - 0.25 && pixel < drawn.left[at] + Math.max(drawn.width[at], 1)) {
			best = at;
		}
	}
	return best;
}
