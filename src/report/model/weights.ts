// SPDX-License-Identifier: BSD-3-Clause
// Sums of runs per call path: which time, how many samples, in which state, first seen when. A time range
// clips runs. Sums are kept in whole microseconds.
import { type Nodes, type Profile, type Scope, STATE, type Thread } from './types';

const MICRO = 1e6;

export class Weights {
	readonly self: Float64Array; // microseconds in the node itself, its callees left out
	readonly count: Float64Array;
	readonly waiting: Float64Array;
	readonly gil: Float64Array;
	readonly running: Float64Array;
	readonly seen: Float64Array; // number of the first run there among all runs read; Infinity: none
	readonly first: Float64Array; // seconds
	/** Nodes with a run and all their callers, in order; valid after touched(). */
	private marks: Uint8Array;
	private marked: Int32Array;
	private markedCount = 0;
	private runs = 0;

	/** One place more than nodes: the last is the time of stacks without a frame. */
	constructor(private readonly nodes: Nodes) {
		const n = nodes.n + 1;
		this.self = new Float64Array(n);
		this.count = new Float64Array(n);
		this.waiting = new Float64Array(n);
		this.gil = new Float64Array(n);
		this.running = new Float64Array(n);
		this.seen = new Float64Array(n).fill(Infinity);
		this.first = new Float64Array(n);
		this.marks = new Uint8Array(n);
		this.marked = new Int32Array(n);
	}

	/** Adds a thread's runs. `keep`: nodes whose stacks count; null for all. */
	add(thread: Thread, range: [number, number] | null, keep: Uint8Array | null): void {
		const { self, count, waiting, gil, running, seen, first } = this;
		const { node: nodeOf, begin, dur, state } = thread;
		const [from, to] = range ?? [-Infinity, Infinity];
		let run = range ? firstAfter(thread, from) : 0;
		for (; run < thread.runs; run++) {
			if (begin[run] > to) break;
			const node = nodeOf[run];
			const order = this.runs++;
			if (keep && !keep[node]) continue;
			let micro = Math.round(dur[run] * MICRO);
			let samples = thread.count[run];
			if (range) {
				const low = Math.max(begin[run], from);
				const high = Math.min(begin[run] + dur[run], to);
				const part = Math.round((high - low) * MICRO);
				if (part < 0 || (part === 0 && micro > 0)) continue;
				if (part < micro) samples *= part / micro;
				micro = part;
			}
			self[node] += micro;
			count[node] += samples;
			if (state) {
				if (state[run] === STATE.RUNNING) running[node] += micro;
				else if (state[run] === STATE.WAITING) waiting[node] += micro;
				else if (state[run] === STATE.GIL) gil[node] += micro;
			}
			if (seen[node] === Infinity) {
				seen[node] = order;
				first[node] = range ? Math.max(begin[run], from) : begin[run];
				this.mark(node);
			}
		}
	}

	private mark(node: number): void {
		const { parent } = this.nodes;
		for (let at = node; at >= 0 && !this.marks[at]; at = at < this.nodes.n ? parent[at] : -1) {
			this.marks[at] = 1;
			this.marked[this.markedCount++] = at;
		}
	}

	/** Nodes with runs and their callers, callers first; the place behind all nodes is not among them. */
	touched(): Int32Array {
		const { n } = this.nodes;
		let list: Int32Array;
		if (this.markedCount > n / 16) {
			list = new Int32Array(this.markedCount);
			let at = 0;
			for (let node = 0; node < n; node++) if (this.marks[node]) list[at++] = node;
			return list.subarray(0, at);
		}
		list = this.marked.slice(0, this.markedCount).sort();
		return this.marks[n] ? list.subarray(0, list.length - 1) : list;
	}

	/** Everything back to nothing, in the time that was needed to fill it. */
	clear(): void {
		for (let i = 0; i < this.markedCount; i++) {
			const node = this.marked[i];
			this.self[node] = this.count[node] = this.waiting[node] = this.gil[node] = this.running[node] = this.first[node] = 0;
			this.seen[node] = Infinity;
			this.marks[node] = 0;
		}
		this.markedCount = 0;
	}
}

/** First run that ends after an instant, or begins at it. */
export function firstAfter(thread: Thread, t: number): number {
	let low = 0;
	let high = thread.runs;
	while (low < high) {
		const middle = (low + high) >> 1;
		if (thread.begin[middle] + thread.dur[middle] < t) low = middle + 1;
		else high = middle;
	}
	return low;
}

export function threadsOf(profile: Profile, scope: Scope): Thread[] {
	const all = scope.base ? (profile.base ?? []) : profile.threads;
	const chosen: Thread[] = [];
	for (const i of scope.threads) if (all[i]) chosen.push(all[i]);
	return chosen;
}

/** All threads of a scope added up. */
export function weigh(profile: Profile, scope: Scope, keep: Uint8Array | null = null): Weights {
	const weights = new Weights(profile.nodes);
	for (const thread of threadsOf(profile, scope)) weights.add(thread, scope.range, keep);
	return weights;
}

/** Own sums plus those of everything below, by one backward pass. */
export function totals(nodes: Nodes, touched: Int32Array, own: Float64Array): Float64Array {
	const sums = own.slice();
	for (let i = touched.length - 1; i >= 0; i--) {
		const node = touched[i];
		const parent = nodes.parent[node];
		if (parent >= 0) sums[parent] += sums[node];
	}
	return sums;
}
