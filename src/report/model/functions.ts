// SPDX-License-Identifier: BSD-3-Clause
// Sums by function, file, package and line, and what is asked first: what is hot, and what was waited for.
import { nestingOf } from './nesting';
import { dissolved } from './processors';
import { timeInScope, weightsKeeping } from './tree';
import { NO_FILTERS, type Filters, FLAG, type FunctionRow, type Grouping, type Hot, type HotLine, KIND, type LineRow, type Link, type Profile, type Scope, moduleOf } from './types';
import { Weights, threadsOf, totals, weigh } from './weights';

const MICRO = 1e6;

interface Owned {
	weights: Weights;
	touched: Int32Array;
	total: Float64Array;
	count: Float64Array;
	/** Per node: itself, or the nearest caller that is shown, or -1. */
	owner: Int32Array;
	inside: Uint8Array | null; // focus
}

/** Weights under the filters, and who own time of removed frames belongs to. */
function owned(profile: Profile, scope: Scope, filters: Filters): Owned {
	const { nodes, funcs } = profile;
	const { keep, focus } = weightsKeeping(profile, filters);
	const gone = dissolved(profile, filters);
	const weights = new Weights(nodes);
	for (const thread of threadsOf(profile, scope)) weights.add(thread, scope.range, keep);
	const touched = weights.touched();
	const owner = new Int32Array(nodes.n).fill(-1);
	for (let i = 0; i < touched.length; i++) {
		const node = touched[i];
		if (focus && !focus.inside[node]) continue;
		const f = nodes.func[node];
		const up = nodes.parent[node];
		owner[node] = (gone && gone[f]) || funcs.flags[f] & FLAG.LEAF ? (up < 0 ? -1 : owner[up]) : node;
	}
	return {
		weights,
		touched,
		total: totals(nodes, touched, weights.self),
		count: totals(nodes, touched, weights.count),
		owner,
		inside: focus ? focus.inside : null,
	};
}

export function functions(profile: Profile, scope: Scope, filters: Filters = NO_FILTERS, by: Grouping = 'function'): FunctionRow[] {
	const { nodes, funcs } = profile;
	const { weights, touched, total, count, owner, inside } = owned(profile, scope, filters);
	const { keys, above, size } = nestingOf(profile, by);
	const sums = {
		self: new Float64Array(size),
		total: new Float64Array(size),
		count: new Float64Array(size),
		waiting: new Float64Array(size),
		gil: new Float64Array(size),
		running: new Float64Array(size),
	};
	const func = new Int32Array(size).fill(-1);
	const line = new Int32Array(size);
	const most = new Float64Array(size).fill(-1);
	for (let i = 0; i < touched.length; i++) {
		const node = touched[i];
		const own = owner[node];
		if (own < 0) continue;
		const key = keys[own];
		sums.self[key] += weights.self[node];
		// A suspended await is waiting, whatever the thread did meanwhile.
		const leaf = own !== node && funcs.flags[nodes.func[node]] & FLAG.LEAF && funcs.label(nodes.func[node]) === '[await]';
		sums.waiting[key] += leaf ? weights.self[node] : weights.waiting[node];
		if (!leaf) {
			sums.gil[key] += weights.gil[node];
			sums.running[key] += weights.running[node];
		}
		if (weights.self[own] > most[key]) {
			most[key] = weights.self[own];
			func[key] = nodes.func[own];
			line[key] = nodes.line[own];
		}
		if (own !== node) continue;
		const outer = above[node];
		if (outer >= 0 && owner[outer] === outer && (!inside || inside[outer])) continue;
		sums.total[key] += total[node];
		sums.count[key] += count[node];
	}
	const rows: FunctionRow[] = [];
	for (let key = 0; key < size; key++) {
		const f = func[key];
		if (f < 0) continue;
		let name = funcs.label(f);
		if (by === 'file') name = profile.strings[funcs.short[f]];
		else if (by === 'package') name = moduleOf(profile, f);
		else if (by === 'line') name = `${name}:${line[key]}`;
		rows.push({
			key: name,
			func: f,
			line: by === 'line' ? line[key] : 0,
			self: sums.self[key] / MICRO,
			total: sums.total[key] / MICRO,
			count: sums.count[key],
			waiting: sums.waiting[key] / MICRO,
			gil: sums.gil[key] / MICRO,
			running: sums.running[key] / MICRO,
		});
	}
	return rows.sort((a, b) => b.self - a.self || b.total - a.total || a.func - b.func || a.line - b.line);
}

// ---- what is hot ------------------------------------------------------------------------------------

/** Built-in functions that return when something else happens, by name: states are of an instant near that of the stack, or not there. */
const BLOCKING = new Set(
	'sleep time.sleep select select.select poll.poll select.poll.poll epoll.poll select.epoll.poll kqueue.control lock.acquire _thread.lock.acquire RLock.acquire _thread.RLock.acquire SimpleQueue.get _queue.SimpleQueue.get wait4 waitpid'.split(' '),
);

/** Functions by own time without waiting, and where was waited most. */
export function hot(profile: Profile, scope: Scope): Hot {
	const { nodes, funcs } = profile;
	const { weights, touched, total, count, owner } = owned(profile, scope, NO_FILTERS);
	const { keys, above, size } = nestingOf(profile, 'function');
	const own = new Float64Array(size);
	const all = new Float64Array(size);
	const samples = new Float64Array(size);
	const waits = new Float64Array(size);
	const heaviest = new Int32Array(size).fill(-1);
	const longest = new Int32Array(size).fill(-1);
	const work = new Float64Array(nodes.n);
	const waited = new Float64Array(nodes.n);
	for (let i = 0; i < touched.length; i++) {
		const node = touched[i];
		let at = owner[node];
		if (at < 0) continue;
		let waiting = weights.waiting[node];
		const f = nodes.func[node];
		if (at !== node && funcs.label(f) === '[await]') waiting = weights.self[node];
		// Made for waiting: no work, though it may have computed a little, or was seen running as it came back.
		if (funcs.kind[f] === KIND.NATIVE && BLOCKING.has(funcs.label(f))) waiting = Math.max(waiting, weights.self[node] - weights.gil[node]);
		if (funcs.kind[f] === KIND.WAITING) {
			waiting = weights.self[node];
			if (nodes.parent[node] >= 0) at = nodes.parent[node];
		}
		work[at] += weights.self[node] - waiting;
		waited[at] += waiting;
	}
	let allWaits = 0;
	for (let i = 0; i < touched.length; i++) {
		const node = touched[i];
		if (owner[node] !== node) continue;
		const key = keys[node];
		own[key] += work[node];
		waits[key] += waited[node];
		allWaits += waited[node];
		if (above[node] < 0) {
			all[key] += total[node];
			samples[key] += count[node];
		}
		if (work[node] > 0 && (heaviest[key] < 0 || work[node] > work[heaviest[key]])) heaviest[key] = node;
		if (waited[node] > 0 && (longest[key] < 0 || waited[node] > waited[longest[key]])) longest[key] = node;
	}
	const totalTime = timeInScope(profile, scope);
	const rows: HotLine[] = [];
	let worst = -1;
	for (let key = 0; key < size; key++) {
		const node = heaviest[key];
		if (longest[key] >= 0 && (worst < 0 || waits[key] > waits[worst])) worst = key;
		if (node < 0 || own[key] <= 0) continue;
		const self = own[key] / MICRO;
		rows.push({ func: nodes.func[node], node, self, total: all[key] / MICRO, count: samples[key], share: totalTime > 0 ? self / totalTime : 0 });
	}
	rows.sort((a, b) => b.self - a.self || b.total - a.total || a.func - b.func);
	const place = worst >= 0 ? longest[worst] : -1;
	return {
		functions: rows,
		waiting: allWaits
			? {
					total: allWaits / MICRO,
					func: place < 0 ? -1 : nodes.func[place],
					node: place,
					line: place < 0 ? 0 : nodes.line[place],
					share: place < 0 ? 0 : waits[worst] / allWaits,
				}
			: null,
		totalTime,
	};
}

// ---- lines --------------------------------------------------------------------------------------------

export interface Lines {
	/** Lines of a function; undefined when it never ran in scope. */
	get(func: number): Map<number, LineRow> | undefined;
	/** Functions of a file (given by any of its functions) that ran in scope. */
	inFile(func: number): number[];
	/** Lines of a whole file. */
	ofFile(func: number): Map<number, LineRow>;
}

let last: { profile: Profile; scope: Scope; lines: Lines } | null = null;

/** Sums per line, made for a function when it is asked for. The last scope's are kept. */
export function lines(profile: Profile, scope: Scope): Lines {
	if (last && last.profile === profile && last.scope === scope) return last.lines;
	const { nodes, funcs } = profile;
	const weights = weigh(profile, scope);
	const touched = weights.touched();
	const total = totals(nodes, touched, weights.self);
	const count = totals(nodes, touched, weights.count);
	const { above } = nestingOf(profile, 'function');
	// Nodes of every function, and the children of nodes, both as lists in arrays.
	const firstOf = new Int32Array(funcs.n).fill(-1);
	const nextOf = new Int32Array(nodes.n).fill(-1);
	const child = new Int32Array(nodes.n).fill(-1);
	const sibling = new Int32Array(nodes.n).fill(-1);
	for (let i = touched.length - 1; i >= 0; i--) {
		const node = touched[i];
		const ident = funcs.ident[nodes.func[node]];
		nextOf[node] = firstOf[ident];
		firstOf[ident] = node;
		const up = nodes.parent[node];
		if (up >= 0) {
			sibling[node] = child[up];
			child[up] = node;
		}
	}
	const made = new Map<number, Map<number, LineRow>>();
	const link = (list: Map<number, Link>, node: number, time: number, samples: number) => {
		const key = funcs.ident[nodes.func[node]] * 2 ** 31 + nodes.line[node];
		const known = list.get(key);
		if (known) {
			known.total += time / MICRO;
			known.count += samples;
		} else list.set(key, { func: nodes.func[node], line: nodes.line[node], node, total: time / MICRO, count: samples });
	};
	const make = (ident: number): Map<number, LineRow> => {
		const rows = new Map<number, LineRow>();
		const links = new Map<number, { callers: Map<number, Link>; calls: Map<number, Link> }>();
		for (let node = firstOf[ident]; node >= 0; node = nextOf[node]) {
			const at = nodes.line[node];
			let row = rows.get(at);
			if (!row) {
				rows.set(at, (row = { line: at, self: 0, total: 0, count: 0, callers: [], calls: [] }));
				links.set(at, { callers: new Map(), calls: new Map() });
			}
			const { callers, calls } = links.get(at)!;
			row.self += weights.self[node] / MICRO;
			let outer = above[node];
			let steps = 0;
			while (outer >= 0 && nodes.line[outer] !== at && steps++ < 1000) outer = above[outer];
			const nested = outer >= 0 && nodes.line[outer] === at;
			for (let c = child[node]; c >= 0; c = sibling[c]) {
				// [await] and the like are the line's own time.
				if (funcs.flags[nodes.func[c]] & FLAG.LEAF) row.self += total[c] / MICRO;
				else if (!nested) link(calls, c, total[c], count[c]);
			}
			if (nested) continue;
			row.total += total[node] / MICRO;
			row.count += count[node];
			if (nodes.parent[node] >= 0) link(callers, nodes.parent[node], total[node], count[node]);
		}
		const most = (list: Map<number, Link>) => [...list.values()].sort((a, b) => b.total - a.total || a.func - b.func || a.line - b.line);
		for (const [at, row] of rows) {
			row.callers = most(links.get(at)!.callers);
			row.calls = most(links.get(at)!.calls);
		}
		return rows;
	};
	const get = (func: number): Map<number, LineRow> | undefined => {
		if (!(func >= 0 && func < funcs.n)) return undefined;
		const ident = funcs.ident[func];
		if (firstOf[ident] < 0) return undefined;
		let rows = made.get(ident);
		if (!rows) made.set(ident, (rows = make(ident)));
		return rows;
	};
	const inFile = (func: number): number[] => {
		const out: number[] = [];
		for (let f = 0; f < funcs.n; f++) if (funcs.ident[f] === f && funcs.file[f] === funcs.file[func] && firstOf[f] >= 0) out.push(f);
		return out;
	};
	const ofFile = (func: number): Map<number, LineRow> => {
		const out = new Map<number, LineRow>();
		for (const f of inFile(func))
			for (const [at, row] of get(f)!) {
				const known = out.get(at);
				if (!known) out.set(at, { ...row });
				else {
					known.self += row.self;
					known.total += row.total;
					known.count += row.count;
					known.callers = [...known.callers, ...row.callers].sort((a, b) => b.total - a.total);
					known.calls = [...known.calls, ...row.calls].sort((a, b) => b.total - a.total);
				}
			}
		return out;
	};
	last = { profile, scope, lines: { get, inFile, ofFile } };
	return last.lines;
}
