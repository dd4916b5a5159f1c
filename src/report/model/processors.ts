// SPDX-License-Identifier: BSD-3-Clause
// The page's list of processors, on rows: the launcher's frames, small frames, groups of library frames.
// C has the same list as one more row of its table, and both must give the same tree.
import { Pattern } from './pattern';
import { type Filters, FLAG, type Group, KIND, type Profile, moduleOf } from './types';

/** Rows while a tree is built: linked, parents before children. */
export interface Rows {
	n: number;
	parent: Int32Array;
	first: Int32Array;
	next: Int32Array;
	func: Int32Array; // -1 [root]
	total: Float64Array; // microseconds
}

/** Functions a filter takes out of every stack; what they called moves up to their caller. */
export function dissolved(profile: Profile, filters: Filters): Uint8Array | null {
	const { funcs } = profile;
	const out = new Uint8Array(funcs.n);
	const hidden = new Set(filters.hiddenFuncs.map((f) => funcs.ident[f]));
	const hiddenModules = new Set(filters.hiddenModules);
	let any = false;
	for (let f = 0; f < funcs.n; f++) {
		if (funcs.kind[f] === KIND.THREAD || funcs.flags[f] & FLAG.LEAF) continue;
		if (
			(filters.importlib && funcs.path(f).includes('<frozen importlib._bootstrap')) ||
			(filters.tracebackhide && funcs.flags[f] & FLAG.TRACEBACKHIDE) ||
			hidden.has(funcs.ident[f]) ||
			(hiddenModules.size && hiddenModules.has(moduleOf(profile, f)))
		) {
			out[f] = 1;
			any = true;
		}
	}
	return any ? out : null;
}

// ---- the launcher -------------------------------------------------------------------------------

function longestChild(rows: Rows, row: number): number {
	let best = rows.first[row];
	for (let child = best; child >= 0; child = rows.next[child]) if (rows.total[child] > rows.total[best]) best = child;
	return best;
}

/** The row below pyinstrument's own frames; the root itself when it is not started by the launcher. */
export function belowLauncher(profile: Profile, rows: Rows, root: number): number {
	const path = (row: number) => profile.funcs.path(rows.func[row]);
	const large = (row: number) => {
		const parent = rows.parent[row];
		return parent < 0 || (rows.total[parent] !== 0 && rows.total[row] / rows.total[parent] > 0.8);
	};
	const runpy = (row: number) => path(row).includes('<frozen runpy>') || /^[^\n]*runpy[^\n]py/u.test(path(row));
	const leaf = (row: number) => rows.first[row] < 0;
	let row = root;
	if (!/^[^\n]*pyinstrument[/\\]__main__[^\n]py/u.test(path(row)) || leaf(row)) return root;
	row = longestChild(rows, row);
	if (!large(row) || !path(row).includes('<string>') || leaf(row)) return root;
	row = longestChild(rows, row);
	if (!large(row) || !runpy(row) || leaf(row)) return root;
	while (large(row) && runpy(row) && !leaf(row)) row = longestChild(rows, row);
	return row;
}

// ---- groups ---------------------------------------------------------------------------------------

/** Whether rows are application code; code without a file is what its caller is. Roots are the application's. */
function applicationRows(profile: Profile, rows: Rows, root: number, order: Int32Array): Uint8Array {
	const { funcs } = profile;
	const asParent = new Uint8Array(funcs.n);
	for (let f = 0; f < funcs.n; f++) {
		const path = funcs.path(f);
		if ((path === '<string>' || path === '<stdin>') && !profile.meta.sysprefixes.some((prefix) => path.startsWith(prefix))) asParent[f] = 1;
	}
	const application = new Uint8Array(rows.n);
	for (const row of order) {
		const f = rows.func[row];
		if (f < 0) continue;
		if (asParent[f]) application[row] = row === root ? 1 : application[rows.parent[row]];
		else application[row] = funcs.flags[f] & FLAG.APP ? 1 : 0;
	}
	return application;
}

export interface Grouping {
	group: Int32Array; // per row, -1 none
	groups: { root: number; rows: number[] }[];
	error?: string;
}

/** Groups of three and more library frames, or of what the patterns name. `order`: the root's rows, parents first. */
export function groupRows(profile: Profile, rows: Rows, root: number, order: Int32Array, filters: Filters): Grouping {
	const group = new Int32Array(rows.n).fill(-1);
	const groups: Grouping['groups'] = [];
	if (filters.collapse === 'off') return { group, groups };
	const { funcs } = profile;
	const application = applicationRows(profile, rows, root, order);
	const custom = filters.collapse === 'custom';
	const show = custom && filters.show ? new Pattern(filters.show) : null;
	const hide = custom && filters.hide ? new Pattern(filters.hide) : null;
	const verdicts = new Int8Array(funcs.n + 1); // per function: 0 unknown, 1 shown, 2 hidden, 3 by origin
	const hidden = (row: number): boolean => {
		const f = rows.func[row];
		let verdict = verdicts[f + 1];
		if (!verdict) {
			const path = funcs.path(f);
			if (show?.test(path)) verdict = 1;
			else verdict = hide?.test(path) ? 2 : 3;
			verdicts[f + 1] = verdict;
		}
		return verdict === 2 || (verdict === 3 && !application[row]);
	};
	const hiddenRows = new Uint8Array(rows.n);
	for (const row of order) hiddenRows[row] = hidden(row) ? 1 : 0;
	for (const row of order) {
		if (row === root || group[row] >= 0 || !hiddenRows[row]) continue;
		let child = rows.first[row];
		while (child >= 0 && !hiddenRows[child]) child = rows.next[child];
		if (child < 0) continue;
		const members: number[] = [];
		const stack = [row];
		while (stack.length) {
			const member = stack.pop()!;
			group[member] = groups.length;
			members.push(member);
			const below: number[] = [];
			for (let c = rows.first[member]; c >= 0; c = rows.next[c]) if (hiddenRows[c]) below.push(c);
			for (let i = below.length - 1; i >= 0; i--) stack.push(below[i]);
		}
		groups.push({ root: row, rows: members });
	}
	for (let g = 0; g < groups.length; g++) if (groups[g].rows.length < 3) for (const row of groups[g].rows) group[row] = -1;
	return { group, groups, error: show?.error ?? hide?.error };
}

/** Libraries of a group, the one with the most own time first. */
export function librariesOf(profile: Profile, func: Int32Array, self: Float64Array, members: ArrayLike<number>): string[] {
	const times = new Map<string, number>();
	for (let i = 0; i < members.length; i++) {
		const row = members[i];
		const f = func[row];
		if (f < 0 || profile.funcs.flags[f] & FLAG.LEAF || profile.funcs.kind[f] >= KIND.THREAD) continue; // no library
		const name = moduleOf(profile, f);
		if (name) times.set(name, (times.get(name) ?? 0) + self[row]);
	}
	return [...times].sort((a, b) => b[1] - a[1]).map(([name]) => name);
}

/** `frames`: a thread's row is no frame, though it belongs to the group of the frames below it. */
export const groupOf = (profile: Profile, func: Int32Array, rows: Int32Array, libraries: string[]): Group => ({
	root: rows[0],
	frames: rows.reduce((sum, row) => sum + (func[row] >= 0 && profile.funcs.kind[func[row]] === KIND.THREAD ? 0 : 1), 0),
	libraries,
	rows,
});
