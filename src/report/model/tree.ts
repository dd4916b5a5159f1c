// SPDX-License-Identifier: BSD-3-Clause
// From runs to the rows that are shown. The list of steps, their order and their results are those of C's
// list for the page; what C does on a tree in time order is done here on sums, and equal sums stay in the
// order of first sight. Nothing recurses: stacks are deeper than the engine's.
import { belowLauncher, dissolved, groupOf, groupRows, librariesOf } from './processors';
import { RowTable } from './rows';
import { search } from './search';
import { type Filters, FLAG, KIND, NO_FILTERS, type Profile, type Scope, type ViewTree } from './types';
import { Weights, threadsOf } from './weights';

const MICRO = 1e6;

// ---- which stacks count -----------------------------------------------------------------------------

/** Marks a node and all below it wherever `mark` says so; the place behind the nodes stays unmarked. */
function containing(profile: Profile, mark: (node: number) => boolean): Uint8Array {
	const { n, parent } = profile.nodes;
	const inside = new Uint8Array(n + 1);
	for (let node = 0; node < n; node++) inside[node] = (parent[node] >= 0 && inside[parent[node]]) || mark(node) ? 1 : 0;
	return inside;
}

interface Focus {
	inside: Uint8Array; // nodes at or below a focused one
	starts: Uint8Array; // the outermost of them
}

/** Nodes reached by the same functions as one node. */
function samePath(profile: Profile, target: number, lines: boolean): (node: number) => boolean {
	const { nodes, funcs } = profile;
	const chain: number[] = [];
	for (let at = target; at >= 0; at = nodes.parent[at]) chain.push(at);
	chain.reverse();
	const reached = new Int32Array(nodes.n); // how much of the chain a node's stack is
	return (node) => {
		const above = nodes.parent[node] < 0 ? 0 : reached[nodes.parent[node]];
		if (above < 0 || above >= chain.length) {
			reached[node] = -1;
			return false;
		}
		const like = chain[above];
		const same = funcs.ident[nodes.func[node]] === funcs.ident[nodes.func[like]] && (!lines || nodes.line[node] === nodes.line[like]);
		reached[node] = same ? above + 1 : -1;
		return same && above + 1 === chain.length;
	};
}

function focusOf(profile: Profile, filters: Filters): Focus | null {
	const { nodes, funcs } = profile;
	let mark: ((node: number) => boolean) | null = null;
	if (filters.focusNode !== null && filters.focusNode >= 0 && filters.focusNode < nodes.n) {
		mark = samePath(profile, filters.focusNode, !filters.mergeLines);
	} else if (filters.focusFunc !== null && filters.focusFunc >= 0 && filters.focusFunc < funcs.n) {
		const wanted = funcs.ident[filters.focusFunc];
		mark = (node) => funcs.ident[nodes.func[node]] === wanted;
	}
	if (!mark) return null;
	const starts = new Uint8Array(nodes.n + 1);
	const inside = containing(profile, (node) => {
		// Asked only where no caller is inside, so what is marked here is outermost.
		const marked = mark(node);
		if (marked) starts[node] = 1;
		return marked;
	});
	return { inside, starts };
}

/** Nodes whose stacks count, null for all; and what is wrong with the pattern. */
export function kept(profile: Profile, filters: Filters, focus: Focus | null): { keep: Uint8Array | null; error?: string } {
	let keep = focus ? focus.inside : null;
	if (!filters.match?.query.trim()) return { keep };
	const found = search(profile, filters.match.query);
	if (found.error || found.empty) return { keep, error: found.error };
	const { func } = profile.nodes;
	const inside = containing(profile, (node) => found.funcs[func[node]] === 1);
	const wanted = filters.match.mode === 'only' ? 1 : 0;
	const both = new Uint8Array(inside.length);
	for (let node = 0; node < inside.length; node++) both[node] = inside[node] === wanted && (!keep || keep[node]) ? 1 : 0;
	keep = both;
	return { keep };
}

export const weightsKeeping = (profile: Profile, filters: Filters): { keep: Uint8Array | null; focus: Focus | null; error?: string } => {
	const focus = focusOf(profile, filters);
	return { focus, ...kept(profile, filters, focus) };
};

/** Time of all runs in scope, whatever the filters. */
export function timeInScope(profile: Profile, scope: Scope): number {
	let sum = 0;
	for (const thread of threadsOf(profile, scope)) {
		for (let run = 0; run < thread.runs; run++) {
			let part = thread.dur[run];
			if (scope.range) part = Math.min(thread.begin[run] + part, scope.range[1]) - Math.max(thread.begin[run], scope.range[0]);
			if (part > 0) sum += Math.round(part * MICRO);
		}
	}
	return sum / MICRO;
}

// ---- rows -------------------------------------------------------------------------------------------

/** Numbers of places, so that equal ones below one caller become one row. */
class Places {
	private lines = new Map<number, number>();
	private readonly specials: number;
	constructor(
		private readonly profile: Profile,
		private readonly merge: boolean,
		private readonly ident: Int32Array = profile.funcs.ident,
	) {
		this.specials = profile.funcs.n + profile.threads.length + (profile.base?.length ?? 0) + profile.processes.length;
	}
	readonly node = (node: number): number => {
		const { nodes, funcs } = this.profile;
		const ident = this.ident[nodes.func[node]];
		if (this.merge || funcs.flags[nodes.func[node]] & FLAG.LEAF) return ident;
		const key = ident * 2 ** 31 + nodes.line[node];
		let place = this.lines.get(key);
		if (place === undefined) this.lines.set(key, (place = this.specials + this.lines.size));
		return place;
	};
	thread(index: number): number {
		return this.profile.funcs.n + index;
	}
	process(index: number): number {
		return this.profile.funcs.n + this.profile.threads.length + (this.profile.base?.length ?? 0) + index;
	}
}

interface Making {
	profile: Profile;
	filters: Filters;
	rows: RowTable;
	places: Places;
	ident: Int32Array; // per function: what is the same function
	gone: Uint8Array | null; // functions that are dissolved
	focus: Focus | null;
	rowOf: Int32Array; // per node
	several: Uint8Array; // functions with others of the same ident
	names: Map<number, number>; // row * functions + function -> time, for rows of several
}

/** The caller above a row that runs the same place, if any. */
function recursive(rows: RowTable, from: number, func: number, ident: Int32Array): number {
	const wanted = ident[func];
	let steps = 0;
	for (let row = from; row >= 0 && steps < 5000; row = rows.parent[row], steps++) if (rows.func[row] >= 0 && ident[rows.func[row]] === wanted) return row;
	return -1;
}

/**
 * Nodes in order of the depth that their rows will have, so that a row is complete before those below it are made.
 * `dissolves`: the node has no row of its own.
 */
function byDepth(profile: Profile, touched: Int32Array, focus: Focus | null, dissolves: (node: number, outermost: boolean) => boolean): Int32Array {
	const { parent } = profile.nodes;
	const depth = new Int32Array(profile.nodes.n);
	let deepest = 0;
	let size = 0;
	for (let i = 0; i < touched.length; i++) {
		const node = touched[i];
		if (focus && !focus.inside[node]) continue;
		const outermost = focus ? focus.starts[node] === 1 : parent[node] < 0;
		const above = outermost ? 0 : depth[parent[node]];
		depth[node] = dissolves(node, outermost) ? above : above + 1;
		if (depth[node] > deepest) deepest = depth[node];
		size++;
	}
	const begin = new Int32Array(deepest + 2);
	for (let i = 0; i < touched.length; i++) if (!focus || focus.inside[touched[i]]) begin[depth[touched[i]] + 1]++;
	for (let level = 0; level <= deepest; level++) begin[level + 1] += begin[level];
	const out = new Int32Array(size);
	for (let i = 0; i < touched.length; i++) if (!focus || focus.inside[touched[i]]) out[begin[depth[touched[i]]]++] = touched[i];
	return out;
}

/**
 * Adds weights below `head`. `single`: the outermost frame becomes the root, so it is never removed. `least`:
 * microseconds below which a row will be removed with all below it, so these get no rows and their time is put into
 * it at once; 0 when that is not known, or when a row may get more from elsewhere.
 */
function addNodes(making: Making, weights: Weights, head: number, thread: number, single: boolean, base: boolean, least: number): void {
	const { profile, filters, rows, places, ident, gone, focus, rowOf, several, names } = making;
	const { nodes, funcs } = profile;
	const touched = weights.touched();
	const selfIdent = funcs.ident[funcs.self];
	const dissolves = (node: number, outermost: boolean): boolean => {
		const f = nodes.func[node];
		return funcs.ident[f] === selfIdent || (gone !== null && gone[f] === 1 && !(single && outermost));
	};
	const order = least > 0 ? byDepth(profile, touched, focus, dissolves) : touched;
	let whole = new Float64Array(least > 0 ? 1 << 16 : 0); // per row made here: time of it and all below
	const begin = rows.n;
	const subtree = several.length || least > 0 ? weights.self.slice() : null;
	if (subtree)
		for (let i = touched.length - 1; i >= 0; i--) {
			const up = nodes.parent[touched[i]];
			if (up >= 0) subtree[up] += subtree[touched[i]];
		}
	const put = (row: number, at: number) => {
		if (weights.seen[at] === Infinity) return;
		if (base) {
			rows.base[row] += weights.self[at];
			rows.baseCount[row] += weights.count[at];
		} else {
			rows.own[row] += weights.self[at];
			rows.count[row] += weights.count[at];
			rows.waiting[row] += weights.waiting[at];
			rows.gil[row] += weights.gil[at];
			rows.running[row] += weights.running[at];
		}
		if (weights.seen[at] < rows.seen[row]) {
			rows.seen[row] = weights.seen[at];
			rows.since[row] = weights.first[at];
		}
	};
	for (let i = 0; i < order.length; i++) {
		const node = order[i];
		const f = nodes.func[node];
		const up = nodes.parent[node];
		let above = up < 0 ? head : rowOf[up];
		let outermost = up < 0;
		if (focus) {
			if (!focus.inside[node]) continue;
			if (focus.starts[node]) {
				above = head;
				outermost = true;
			}
		}
		let row: number;
		if (dissolves(node, outermost)) row = above;
		else if (least > 0 && above >= begin && whole[above - begin] < least) row = above;
		else {
			row = filters.mergeRecursion ? recursive(rows, above, f, ident) : -1;
			if (row < 0) row = rows.below(above, places.node(node), f, filters.mergeLines ? 0 : nodes.line[node], node, thread);
			if (least > 0 && subtree) {
				if (row - begin >= whole.length) {
					const larger = new Float64Array(whole.length * 4);
					larger.set(whole);
					whole = larger;
				}
				whole[row - begin] += subtree[node];
			}
			if (subtree && several[f] && !base) {
				const key = row * funcs.n + f;
				names.set(key, (names.get(key) ?? 0) + subtree[node]);
			}
		}
		rowOf[node] = row;
		put(row, node);
	}
	if (!focus) put(head, nodes.n);
}

/** The function that names a row of several: of those with a class the one with the most time. */
function nameRows(making: Making): void {
	const { profile, rows, names } = making;
	const { funcs } = profile;
	const best = new Map<number, number>();
	const better = (a: number, b: number, ta: number, tb: number) => (!!funcs.cls[a] !== !!funcs.cls[b] ? !!funcs.cls[a] : ta > tb);
	for (const [key, time] of names) {
		const row = Math.floor(key / funcs.n);
		const f = key % funcs.n;
		const old = best.get(row);
		if (old === undefined || better(f, old, time, names.get(row * funcs.n + old)!)) best.set(row, f);
	}
	for (const [row, f] of best) rows.func[row] = f;
}

/**
 * One [self] row below every row that has time of its own and other children: alone it says nothing. `least`:
 * microseconds below which it would be removed again at once.
 */
function addSelfRows(profile: Profile, rows: RowTable, least: number): void {
	const { funcs } = profile;
	const place = funcs.ident[funcs.self];
	const n = rows.n;
	const hasChild = new Uint8Array(n);
	for (let row = 1; row < n; row++) if (rows.parent[row] >= 0) hasChild[rows.parent[row]] = 1;
	for (let row = 0; row < n; row++) {
		if (rows.seen[row] === Infinity || !hasChild[row] || (rows.own[row] < least && rows.base[row] < least)) continue;
		const f = rows.func[row];
		if (f >= 0 && funcs.flags[f] & FLAG.LEAF) continue;
		const self = rows.below(row, place, funcs.self, 0, rows.node[row], rows.thread[row]);
		rows.isSelf[self] = 1;
		for (const key of ['own', 'count', 'waiting', 'gil', 'running', 'base', 'baseCount', 'seen', 'since'] as const) {
			rows[key][self] = rows[key][row];
			if (key !== 'seen' && key !== 'since') rows[key][row] = 0;
		}
	}
}

/** Drops rows for which `drop` says so, with all below them. Their time stays in the totals. */
function prune(rows: RowTable, root: number, drop: (row: number) => boolean): void {
	for (const row of rows.order(root)) {
		let last = -1;
		for (let child = rows.first[row]; child >= 0; child = rows.next[child]) {
			if (drop(child)) continue;
			if (last < 0) rows.first[row] = child;
			else rows.next[last] = child;
			last = child;
		}
		if (last < 0) rows.first[row] = -1;
		else rows.next[last] = -1;
	}
}

interface Finished {
	tree: ViewTree;
	order: Int32Array; // row of the table per row of the tree
	rows: RowTable;
}

/** Sums, order, the list of processors, and the numbering in display order. */
function finish(profile: Profile, rows: RowTable, filters: Filters, totalTime: number, root: number, scale = 0): Finished | null {
	const { funcs } = profile;
	if (root < 0) return null;
	rows.sum();
	rows.parent[root] = -1;
	const whole = scale ? Math.max(rows.total[root], rows.base[root] * scale) : rows.total[root];
	const denominator = whole <= 0 ? 1e-44 : whole;
	const small = (row: number) => (scale ? Math.max(rows.total[row], rows.base[row] * scale) : rows.total[row]) / denominator < filters.threshold;
	rows.link(filters.threshold > 0 ? small : null);
	if (filters.profiler) {
		root = belowLauncher(profile, rows, root);
		rows.parent[root] = -1;
		rows.next[root] = -1;
	}
	if (!filters.selfRows) prune(rows, root, (row) => rows.isSelf[row] === 1);
	const order = rows.order(root);
	const grouping = groupRows(profile, rows, root, order, filters);
	const n = order.length;
	const numbers = new Int32Array(rows.n).fill(-1);
	for (let i = 0; i < n; i++) numbers[order[i]] = i;
	const ints = (from: Int32Array, map?: Int32Array) => {
		const out = new Int32Array(n);
		for (let i = 0; i < n; i++) out[i] = map ? (from[order[i]] < 0 ? -1 : map[from[order[i]]]) : from[order[i]];
		return out;
	};
	const floats = (from: Float64Array, unit: number) => {
		const out = new Float64Array(n);
		for (let i = 0; i < n; i++) out[i] = from[order[i]] / unit;
		return out;
	};
	const parent = ints(rows.parent, numbers);
	const func = ints(rows.func);
	const self = floats(rows.own, MICRO);
	// Pruned [self] rows and other leaves are their function's own time.
	for (let row = 0; row < rows.n; row++) {
		const up = rows.parent[row];
		const f = rows.func[row];
		if (up >= 0 && numbers[up] >= 0 && f >= 0 && funcs.flags[f] & FLAG.LEAF) self[numbers[up]] += rows.total[row] / MICRO;
	}
	const depth = new Int32Array(n);
	for (let i = 1; i < n; i++) depth[i] = depth[parent[i]] + 1;
	const group = new Int32Array(n).fill(-1);
	const tree: ViewTree = {
		n,
		parent,
		first: ints(rows.first, numbers),
		next: ints(rows.next, numbers),
		depth,
		func,
		line: ints(rows.line),
		node: ints(rows.node),
		thread: ints(rows.thread),
		total: floats(rows.total, MICRO),
		self,
		count: floats(rows.count, 1),
		waiting: floats(rows.waiting, MICRO),
		gil: floats(rows.gil, MICRO),
		running: floats(rows.running, MICRO),
		firstSeen: floats(rows.since, 1),
		group,
		groups: [],
		totalTime,
		error: grouping.error,
	};
	for (const { rows: members } of grouping.groups) {
		if (members.length < 3) continue;
		const list = Int32Array.from(members, (row) => numbers[row]);
		for (const row of list) group[row] = tree.groups.length;
		tree.groups.push(groupOf(profile, func, list, librariesOf(profile, func, self, list)));
	}
	return { tree, order, rows };
}

export function emptyTree(totalTime = 0, error?: string): ViewTree {
	const i = () => new Int32Array(0);
	const f = () => new Float64Array(0);
	return {
		n: 0,
		parent: i(),
		first: i(),
		next: i(),
		depth: i(),
		func: i(),
		line: i(),
		node: i(),
		thread: i(),
		total: f(),
		self: f(),
		count: f(),
		waiting: f(),
		gil: f(),
		running: f(),
		firstSeen: f(),
		group: i(),
		groups: [],
		totalTime,
		error,
	};
}

// ---- heads: [root], processes, threads ------------------------------------------------------------

function severalProcesses(profile: Profile): boolean {
	return profile.threads.some((thread) => thread.process !== profile.threads[0].process);
}

/** Whether these are the threads that the text report shows. */
function isDefaultScope(profile: Profile, scope: Scope): boolean {
	const busy = profile.threads.filter((thread) => !thread.idle).length;
	return scope.threads.length === (busy || profile.threads.length) && scope.threads.every((i) => !busy || (profile.threads[i] && !profile.threads[i].idle));
}

/**
 * What is the same function in another session, whose files may have other first lines and other folders:
 * the lowest function with the same name, class and short path.
 */
function alike(profile: Profile): Int32Array {
	const { n, name, cls, short, ident, self } = profile.funcs;
	const out = new Int32Array(n);
	const seen = new Map<string, number>();
	for (let f = 0; f < n; f++) {
		const key = `${name[f]} ${cls[f]} ${short[f]}`;
		if (!seen.has(key)) seen.set(key, f);
		out[f] = seen.get(key)!;
	}
	out[self] = ident[self];
	return out;
}

/** Functions that have others of the same ident; empty when there are none. */
function severalOf(ident: Int32Array): Uint8Array {
	const n = ident.length;
	const out = new Uint8Array(n);
	let any = false;
	for (let f = 0; f < n; f++)
		if (ident[f] !== f) {
			out[f] = out[ident[f]] = 1;
			any = true;
		}
	return any ? out : new Uint8Array(0);
}

export function build(profile: Profile, scope: Scope, filters: Filters, compare: Scope | null, scale = 0): Finished | null | { error?: string; totalTime: number } {
	const { nodes, funcs } = profile;
	const { keep, focus, error } = weightsKeeping(profile, filters);
	const all = scope.base ? (profile.base ?? []) : profile.threads;
	const chosen = scope.threads.filter((i) => all[i]);
	const ident = compare ? alike(profile) : funcs.ident;
	const making: Making = {
		profile,
		filters,
		rows: new RowTable(Math.min(nodes.n, 1 << 16) + 64),
		places: new Places(profile, filters.mergeLines, ident),
		ident,
		gone: dissolved(profile, filters),
		focus,
		rowOf: new Int32Array(nodes.n),
		several: severalOf(ident),
		names: new Map(),
	};
	const { rows } = making;
	rows.below(-1, -1, -1, 0, -1, -1); // row 0: [root]
	const weights = new Weights(nodes);
	const apart = !scope.merged && chosen.length > 1 && !focus && !compare;
	const heads = new Set<number>(); // outermost frames as they were recorded
	let bare = 0; // samples without any frame
	let before = 0; // microseconds
	// With room for rounding: what is a hair too small is made and then removed by the exact rule.
	const smallest = compare || filters.mergeRecursion ? 0 : filters.threshold * 0.999;
	if (apart) {
		const processes = severalProcesses(profile);
		for (const i of chosen) {
			const thread = all[i];
			weights.clear();
			weights.add(thread, scope.range, keep);
			const touched = weights.touched();
			if (!touched.length && weights.seen[nodes.n] === Infinity) continue;
			let head = 0;
			if (processes && profile.processes[thread.process]) {
				const { func } = profile.processes[thread.process];
				head = rows.below(0, making.places.process(thread.process), func, 0, -1, -1);
				heads.add(-1 - thread.process);
			}
			if (funcs.kind[thread.func] === KIND.THREAD) {
				if (!head) heads.add(-1e6 - i);
				head = rows.below(head, making.places.thread(i), thread.func, 0, -1, i);
			} else if (!head) {
				for (const node of touched) if (nodes.parent[node] < 0) heads.add(funcs.ident[nodes.func[node]]);
				if (weights.seen[nodes.n] !== Infinity) bare += 2;
			}
			// What all threads have is not less than what those before had: rows too small for that are too small.
			for (const node of touched) before += weights.self[node];
			addNodes(making, weights, head, i, false, false, funcs.kind[thread.func] === KIND.THREAD ? before * smallest : 0);
		}
	} else {
		for (const i of chosen) weights.add(all[i], scope.range, keep);
		const outermost = (node: number) => (focus ? focus.starts[node] : nodes.parent[node] < 0);
		for (const node of weights.touched()) if (outermost(node)) heads.add(making.places.node(node));
		if (!focus && weights.seen[nodes.n] !== Infinity) bare = weights.count[nodes.n];
		const one = chosen.length === 1 ? all[chosen[0]] : null;
		const asRecorded = profile.meta.stem === 1 && !scope.base && !compare && isDefaultScope(profile, scope);
		let head = 0;
		let single = heads.size === 1 && !bare;
		if (one && !focus && funcs.kind[one.func] === KIND.THREAD && (heads.size || bare) && (!single || asRecorded)) {
			head = rows.below(0, making.places.thread(chosen[0]), one.func, 0, -1, chosen[0]);
			heads.clear();
			heads.add(-1);
			bare = 0;
			single = false;
		}
		for (const node of weights.touched()) before += weights.self[node];
		addNodes(making, weights, head, one ? chosen[0] : -1, single, false, before * smallest);
		if (compare) {
			weights.clear();
			for (const i of compare.threads) if (profile.base![i]) weights.add(profile.base![i], compare.range, keep);
			addNodes(making, weights, head, -1, single, true, 0);
		}
	}
	nameRows(making);
	const ownOfRoot = rows.seen[0] !== Infinity;
	let own = 0;
	for (let row = 0; row < rows.n; row++) own += rows.own[row];
	addSelfRows(profile, rows, compare ? 0 : own * filters.threshold * 0.999);
	const totalTime = keep ? timeInScope(profile, scope) : own / MICRO;
	const pick = (): number => {
		if (rows.n === 1 && !ownOfRoot) return -1;
		if (heads.size === 1 && !bare && !ownOfRoot) {
			let only = -1;
			for (let row = 1; row < rows.n; row++)
				if (rows.parent[row] === 0) {
					if (only >= 0) return 0;
					only = row;
				}
			if (only >= 0) return only;
		}
		// A single record without a frame: all there is, is [self].
		if (!heads.size && bare === 1 && rows.n === 1) rows.func[0] = funcs.self;
		return 0;
	};
	const finished = finish(profile, rows, filters, totalTime, pick(), scale);
	if (!finished) return { error, totalTime };
	if (error && !finished.tree.error) finished.tree.error = error;
	return finished;
}

/**
 * The rows the page shows: same rows and numbers as C's list for the page. Filters that only the page has
 * (hidden functions, matches, focus, recursion, callers) come in where they belong.
 */
export function viewTree(profile: Profile, scope: Scope, filters: Filters): ViewTree {
	if (filters.invert) return invertedTree(profile, scope, filters);
	const result = build(profile, scope, filters, null);
	return result && 'tree' in result ? result.tree : emptyTree(result?.totalTime, result?.error);
}

/** Call paths as recorded: nothing removed, no [self] rows. `filters` replaces single switches. */
export function rawTree(profile: Profile, scope: Scope, filters: Partial<Filters> = {}): ViewTree {
	return viewTree(profile, scope, { ...NO_FILTERS, ...filters });
}

// ---- callers ------------------------------------------------------------------------------------------

/** So many rows at most; what is smaller stays in the row above it. */
const MOST_INVERTED = 400_000;

/**
 * Leaf first: below each function its callers. With a focused function: every sample in which it runs, once,
 * seen from its innermost call. Made level by level, and only where the time is worth a row.
 */
export function invertedTree(profile: Profile, scope: Scope, filters: Filters): ViewTree {
	const { nodes, funcs } = profile;
	const { keep, focus, error } = weightsKeeping(profile, { ...filters, invert: false });
	const gone = dissolved(profile, filters);
	const weights = new Weights(nodes);
	for (const thread of threadsOf(profile, scope)) weights.add(thread, scope.range, keep);
	const touched = weights.touched();
	const wanted = filters.focusNode === null && filters.focusFunc !== null && focus ? funcs.ident[filters.focusFunc] : -1;
	const isGone = (node: number) => (gone && gone[nodes.func[node]] ? true : (funcs.flags[nodes.func[node]] & FLAG.LEAF) !== 0);
	const skip = (node: number) => {
		while (node >= 0 && isGone(node)) node = nodes.parent[node];
		return node;
	};
	// Where a sample's path up begins.
	const start = new Int32Array(nodes.n).fill(-1);
	for (const node of touched) {
		const up = nodes.parent[node];
		if (wanted < 0) start[node] = isGone(node) ? (up < 0 ? -1 : start[up]) : node;
		else if (funcs.ident[nodes.func[node]] === wanted) start[node] = node;
		else start[node] = up < 0 ? -1 : start[up];
	}
	const rows = new RowTable(1024);
	const places = new Places(profile, filters.mergeLines);
	const root = rows.below(-1, -1, -1, 0, -1, -1);
	let leaves = 0;
	const leaf = new Int32Array(touched.length);
	const at = new Int32Array(touched.length);
	for (const node of touched)
		if (weights.seen[node] !== Infinity && start[node] >= 0) {
			leaf[leaves] = node;
			at[leaves++] = start[node];
		}
	const totalTime = keep ? timeInScope(profile, scope) : weights.self.reduce((a, b) => a + b, 0) / MICRO;
	const least = Math.max(filters.threshold, 1e-6) * totalTime * MICRO;
	// Parts of the list by row: each is split by the next caller until it is too small.
	const work: { row: number; from: number; to: number }[] = [{ row: root, from: 0, to: leaves }];
	const scratchLeaf = new Int32Array(leaves);
	const scratchAt = new Int32Array(leaves);
	const order: number[] = [];
	for (let next = 0; next < work.length; next++) {
		const { row, from, to } = work[next];
		const sums = new Map<number, { time: number; size: number; node: number }>();
		for (let i = from; i < to; i++) {
			if (at[i] < 0) continue;
			const place = places.node(at[i]);
			const sum = sums.get(place);
			if (sum) {
				sum.time += weights.self[leaf[i]];
				sum.size++;
			} else sums.set(place, { time: weights.self[leaf[i]], size: 1, node: at[i] });
		}
		const begins = new Map<number, number>();
		let fill = from;
		for (const [place, sum] of sums) {
			if ((row !== root && sum.time < least) || rows.n >= MOST_INVERTED) continue;
			begins.set(place, fill);
			fill += sum.size;
		}
		let rest = fill;
		for (let i = from; i < to; i++) {
			const begin = at[i] < 0 ? undefined : begins.get(places.node(at[i]));
			if (begin === undefined) {
				// The path ends here, or what is above it is too small.
				order.push(row, leaf[i]);
				scratchLeaf[rest] = leaf[i];
				scratchAt[rest++] = -1;
				continue;
			}
			begins.set(places.node(at[i]), begin + 1);
			scratchLeaf[begin] = leaf[i];
			scratchAt[begin] = at[i];
		}
		leaf.set(scratchLeaf.subarray(from, to), from);
		at.set(scratchAt.subarray(from, to), from);
		let begin = from;
		for (const [place, sum] of sums) {
			if (!begins.has(place)) continue;
			const f = nodes.func[sum.node];
			const child = rows.below(row, place, f, filters.mergeLines ? 0 : nodes.line[sum.node], sum.node, -1);
			for (let i = begin; i < begin + sum.size; i++) at[i] = skip(nodes.parent[at[i]]);
			work.push({ row: child, from: begin, to: begin + sum.size });
			begin += sum.size;
		}
	}
	for (let i = 0; i < order.length; i += 2) {
		const [row, node] = [order[i], order[i + 1]];
		rows.own[row] += weights.self[node];
		rows.count[row] += weights.count[node];
		rows.waiting[row] += weights.waiting[node];
		rows.gil[row] += weights.gil[node];
		rows.running[row] += weights.running[node];
		if (weights.seen[node] < rows.seen[row]) {
			rows.seen[row] = weights.seen[node];
			rows.since[row] = weights.first[node];
		}
	}
	if (rows.n === 1) return emptyTree(totalTime, error);
	let only = -1;
	for (let row = 1; row < rows.n && only !== 0; row++) if (rows.parent[row] === 0) only = only < 0 ? row : 0;
	const finished = finish(profile, rows, { ...filters, profiler: false, selfRows: false, collapse: 'off', threshold: 0 }, totalTime, only > 0 ? only : 0);
	if (finished && error) finished.tree.error = error;
	return finished ? finished.tree : emptyTree(totalTime, error);
}
