// SPDX-License-Identifier: BSD-3-Clause
// What the views compute from the state, each kept until its input changes: switching views or moving
// the selection computes nothing again. The inputs are replaced and never changed in place, so their
// identity is the key.
import { type Filters, type Found, type Hot, type Profile, type Scope, type ViewTree, hot, search, viewTree } from '../model/index';
import { findRow } from '../views/rows';
import type { Selection, State } from './state';

type Key = readonly unknown[];

/** Remembers the last `size` results. */
function remember<A extends Key, R>(compute: (...args: A) => R, size = 2): (...args: A) => R {
	const kept: { args: A; result: R }[] = [];
	return (...args: A): R => {
		const at = kept.findIndex((entry) => entry.args.every((value, index) => value === args[index]));
		if (at >= 0) {
			const [entry] = kept.splice(at, 1);
			kept.unshift(entry);
			return entry.result;
		}
		const result = compute(...args);
		kept.unshift({ args, result });
		kept.length = Math.min(kept.length, size);
		return result;
	};
}

export const treeOf: (profile: Profile, scope: Scope, filters: Filters) => ViewTree = remember(viewTree);

const found = remember((profile: Profile, query: string): Found => search(profile, query), 4);
let lastGood: { profile: Profile; found: Found } | null = null;

/** The search as typed; with an error the last valid result stays, marked by `error`. */
export function foundOf(profile: Profile, query: string): Found | null {
	if (!query.trim()) return null;
	const result = found(profile, query);
	if (result.error) return lastGood?.profile === profile ? { ...lastGood.found, error: result.error } : result;
	lastGood = { profile, found: result };
	return result;
}

export const hotOf: (profile: Profile, scope: Scope) => Hot = remember(hot);

export interface States {
	total: number; // s of thread time in the scope
	unknown: number;
	running: number;
	waiting: number;
	gil: number;
	samples: number;
}

/** Thread time by state, over the scope's threads and range. */
export const statesOf = remember((profile: Profile, scope: Scope): States => {
	const sums = [0, 0, 0, 0];
	let samples = 0;
	const threads = scope.base && profile.base ? profile.base : profile.threads;
	const [from, to] = scope.range ?? [-Infinity, Infinity];
	for (const index of scope.threads) {
		const thread = threads[index];
		if (!thread) continue;
		for (let run = 0; run < thread.runs; run++) {
			const begin = thread.begin[run];
			const whole = thread.dur[run];
			const part = Math.min(begin + whole, to) - Math.max(begin, from);
			if (part < 0 || (part === 0 && whole > 0)) continue;
			sums[thread.state ? thread.state[run] & 3 : 0] += part;
			samples += whole > 0 ? (thread.count[run] * part) / whole : thread.count[run];
		}
	}
	return { total: sums[0] + sums[1] + sums[2] + sums[3], unknown: sums[0], running: sums[1], waiting: sums[2], gil: sums[3], samples };
});

/** First and last instant of the recording. */
export function span(profile: Profile): [number, number] {
	let from = Infinity;
	let to = -Infinity;
	for (const thread of profile.threads) {
		if (!thread.runs) continue;
		from = Math.min(from, thread.begin[0]);
		const last = thread.runs - 1;
		to = Math.max(to, thread.begin[last] + thread.dur[last]);
	}
	return from < to ? [from, to] : [0, Math.max(profile.meta.duration, 1e-6)];
}

export interface Figures {
	total: number;
	self: number;
	count: number;
	running: number;
	waiting: number;
	gil: number;
	whole: number; // what shares are shares of
	everywhere: boolean; // of the function, not of one row
}

/** The figures of the selection: of its row of the tree, or of the function wherever it runs. */
export const rowOf = (profile: Profile, state: State, chosen: Selection): Figures => {
	const tree = treeOf(profile, state.scope, state.filters);
	const figures: Figures = { total: 0, self: 0, count: 0, running: 0, waiting: 0, gil: 0, whole: tree.totalTime, everywhere: true };
	const add = (row: number, outermost: boolean) => {
		figures.self += tree.self[row];
		if (!outermost) return;
		figures.total += tree.total[row];
		figures.count += tree.count[row];
		figures.running += tree.running[row];
		figures.waiting += tree.waiting[row];
		figures.gil += tree.gil[row];
	};
	if (chosen.node >= 0 || chosen.row >= 0) {
		const row = findRow(profile, tree, chosen);
		if (row >= 0) {
			add(row, true);
			figures.everywhere = false;
			return figures;
		}
	}
	// Recursion counts once: a row below another one of the function adds only its own time.
	const inside = insideOf(tree, chosen.func);
	for (let row = 0; row < tree.n; row++) if (tree.func[row] === chosen.func) add(row, !inside[row]);
	return figures;
};

/** Rows that have the function among their ancestors. */
const insideOf = remember((tree: ViewTree, func: number): Uint8Array => {
	const inside = new Uint8Array(tree.n);
	for (let row = 0; row < tree.n; row++) {
		const above = tree.parent[row];
		if (above >= 0 && (inside[above] || tree.func[above] === func)) inside[row] = 1;
	}
	return inside;
});
