// SPDX-License-Identifier: BSD-3-Clause
// Which rows of a tree are open, and in what order they stand: a tree of 400 000 rows becomes a flat
// list with parents and positions, without recursion. No DOM.
import { type Profile, type ViewTree, label } from '../model/index';
import type { Sort } from '../ui/state';

/** The tree as listed: `row[i]` >= 0 is a row of the tree, < 0 the button of group ~row[i]. */
export interface Listed {
	n: number;
	row: Int32Array;
	depth: Int32Array; // indentation
	parent: Int32Array; // index in this list, -1 at the top
	place: Int32Array; // 1-based among its siblings
	size: Int32Array; // siblings with itself
	at: Int32Array; // tree row -> index here, -1 hidden
}

export class OpenRows {
	readonly open: Uint8Array;
	readonly openGroups = new Set<number>();
	private readonly hides: Uint8Array; // rows shown only when their group is open
	private ranks: Int32Array | null = null;

	constructor(
		private readonly profile: Profile,
		readonly tree: ViewTree,
	) {
		this.open = new Uint8Array(tree.n);
		this.hides = new Uint8Array(tree.n);
		for (let row = 0; row < tree.n; row++) {
			const group = tree.group[row];
			if (group < 0 || tree.groups[group].root === row) continue;
			// A member stays in sight where the path forks into more than one child outside groups.
			let outside = 0;
			for (let child = tree.first[row]; child >= 0; child = tree.next[child]) if (tree.group[child] < 0) outside++;
			if (outside <= 1) this.hides[row] = 1;
		}
	}

	hidden(row: number): boolean {
		return this.hides[row] === 1 && !this.openGroups.has(this.tree.group[row]);
	}

	/**
	 * The first sight: the heaviest path down to where it forks (its heaviest child takes less than 60 %),
	 * and below it four levels of what takes 5 %.
	 */
	openFirst(): void {
		const { tree } = this;
		if (!tree.n) return;
		const stack: number[] = [];
		let row = 0;
		for (;;) {
			this.open[row] = 1;
			const child = tree.first[row]; // the heaviest
			if (child < 0 || tree.total[child] < 0.6 * tree.total[row]) break;
			row = child;
		}
		for (let child = tree.first[row]; child >= 0; child = tree.next[child]) stack.push(child, 1);
		// Threads side by side fork at once: each is opened like a tree of its own.
		while (stack.length) {
			const level = stack.pop()!;
			const next = stack.pop()!;
			if (level > 4 || tree.total[next] < 0.05 * tree.totalTime) continue;
			this.open[next] = 1;
			const below = this.hidden(next) ? level : level + 1;
			for (let child = tree.first[next]; child >= 0; child = tree.next[child]) stack.push(child, below);
		}
	}

	/** Opens what the older tree had open, function by function; false when nothing was found again. */
	openLike(older: OpenRows): boolean {
		const pairs: number[] = [];
		const match = (first: number, olderFirst: number) => {
			const byFunc = new Map<number, number>();
			for (let row = first; row >= 0; row = this.tree.next[row]) if (!byFunc.has(this.tree.func[row])) byFunc.set(this.tree.func[row], row);
			for (let row = olderFirst; row >= 0; row = older.tree.next[row]) {
				if (!older.open[row]) continue;
				const same = byFunc.get(older.tree.func[row]);
				if (same !== undefined) pairs.push(same, row);
			}
		};
		if (!this.tree.n || !older.tree.n) return false;
		match(0, 0);
		let opened = 0;
		while (pairs.length) {
			const was = pairs.pop()!;
			const now = pairs.pop()!;
			this.open[now] = 1;
			opened++;
			const group = older.tree.group[was];
			if (group >= 0 && older.openGroups.has(group) && this.tree.group[now] >= 0) this.openGroups.add(this.tree.group[now]);
			match(this.tree.first[now], older.tree.first[was]);
		}
		return opened > 0;
	}

	openAll(open: boolean): void {
		this.open.fill(open ? 1 : 0);
		if (!open && this.tree.n) this.open[0] = 1;
		this.openGroups.clear();
	}

	/** Opens or closes a row with everything below it, groups too. */
	openBelow(row: number, open: boolean): void {
		const { tree } = this;
		const stack = [row];
		while (stack.length) {
			const next = stack.pop()!;
			this.open[next] = open ? 1 : 0;
			const group = tree.group[next];
			if (group >= 0) {
				if (open) this.openGroups.add(group);
				else this.openGroups.delete(group);
			}
			for (let child = tree.first[next]; child >= 0; child = tree.next[child]) stack.push(child);
		}
	}

	/** Makes a row visible: its ancestors open, and its group when it hides it. */
	showRow(row: number): void {
		if (this.hides[row]) this.openGroups.add(this.tree.group[row]);
		for (let above = this.tree.parent[row]; above >= 0; above = this.tree.parent[above]) this.open[above] = 1;
	}

	hasChildren(row: number): boolean {
		return this.tree.first[row] >= 0;
	}

	list(sort: Sort): Listed {
		const { tree } = this;
		const room = tree.n + tree.groups.length;
		const out: Listed = {
			n: 0,
			row: new Int32Array(room),
			depth: new Int32Array(room),
			parent: new Int32Array(room),
			place: new Int32Array(room),
			size: new Int32Array(room),
			at: new Int32Array(tree.n).fill(-1),
		};
		if (!tree.n) return out;
		const siblings = new Int32Array(room + 1); // listed index + 1 -> children so far
		const less = this.order(sort);
		// Children are pushed last first; what waits is (row, index of the parent listed, depth).
		const stack: number[] = [];
		const batch: number[] = [];
		const push = (first: number, parent: number, depth: number) => {
			batch.length = 0;
			for (let row = first; row >= 0; row = tree.next[row]) batch.push(row);
			if (less && batch.length > 1) batch.sort(less);
			for (let at = batch.length - 1; at >= 0; at--) stack.push(depth, parent, batch[at]);
		};
		const add = (row: number, parent: number, depth: number): number => {
			const index = out.n++;
			out.row[index] = row;
			out.depth[index] = depth;
			out.parent[index] = parent;
			out.place[index] = ++siblings[parent + 1];
			return index;
		};
		push(0, -1, 0);
		while (stack.length) {
			const row = stack.pop()!;
			const parent = stack.pop()!;
			const depth = stack.pop()!;
			if (this.hidden(row)) {
				push(tree.first[row], parent, depth);
				continue;
			}
			const index = add(row, parent, depth);
			out.at[row] = index;
			if (!this.open[row]) continue;
			const group = tree.group[row];
			if (group >= 0 && tree.groups[group].root === row) add(~group, index, depth + 1);
			push(tree.first[row], index, depth + 1);
		}
		for (let index = 0; index < out.n; index++) out.size[index] = siblings[out.parent[index] + 1];
		return out;
	}

	private order(sort: Sort): ((a: number, b: number) => number) | null {
		const { tree } = this;
		if (sort === 'self') return (a, b) => tree.self[b] - tree.self[a] || a - b;
		if (sort === 'first') return (a, b) => tree.firstSeen[a] - tree.firstSeen[b] || a - b;
		if (sort === 'name') {
			const ranks = (this.ranks ??= nameRanks(this.profile));
			return (a, b) => (ranks[tree.func[a]] ?? -1) - (ranks[tree.func[b]] ?? -1) || a - b;
		}
		return null;
	}
}

const rankCache = new WeakMap<Profile, Int32Array>();
function nameRanks(profile: Profile): Int32Array {
	let ranks = rankCache.get(profile);
	if (!ranks) {
		const labels = Array.from({ length: profile.funcs.n }, (_, f) => label(profile, f));
		const order = labels.map((_, f) => f).sort((a, b) => (labels[a] < labels[b] ? -1 : labels[a] > labels[b] ? 1 : a - b));
		ranks = new Int32Array(profile.funcs.n);
		for (let at = 0; at < order.length; at++) ranks[order[at]] = at;
		rankCache.set(profile, ranks);
	}
	return ranks;
}

/**
 * The row of a selection made elsewhere: that very node; else the row reached by the same functions
 * (other lines merged, filtered frames left out); else the heaviest row of the function.
 */
export function findRow(profile: Profile, tree: ViewTree, chosen: { func: number; node: number; row: number }): number {
	const { node } = chosen;
	if (chosen.row >= 0 && chosen.row < tree.n && tree.func[chosen.row] === chosen.func && tree.node[chosen.row] === node) return chosen.row;
	let best = -1;
	for (let row = 0; row < tree.n; row++) {
		if (node >= 0 && tree.node[row] === node) return row;
		if (tree.func[row] === chosen.func && (best < 0 || tree.total[row] > tree.total[best])) best = row;
	}
	if (node < 0 || node >= profile.nodes.n || !tree.n) return best;
	const wanted: number[] = [];
	for (let above = node; above >= 0; above = profile.nodes.parent[above]) wanted.push(profile.nodes.func[above]);
	wanted.reverse();
	// Several threads stand side by side: the path is tried below each row that is no frame.
	const starts = [0];
	for (let row = 0; row < tree.n; row++) if (tree.func[row] < 0 || profile.funcs.kind[tree.func[row]] === 7) starts.push(tree.first[row]);
	for (const start of starts) {
		let siblings = start;
		let reached = -1;
		for (const func of wanted) {
			let row = siblings;
			while (row >= 0 && tree.func[row] !== func) row = tree.next[row];
			if (row < 0) continue; // this frame is filtered out
			reached = row;
			siblings = tree.first[row];
		}
		if (reached >= 0 && tree.func[reached] === chosen.func) return reached;
	}
	return best;
}
