// SPDX-License-Identifier: BSD-3-Clause
// Sums of runs per call path: which time, how many samples, in which state, first seen when. A time range
// clips runs. Sums are kept in whole microseconds.
import { type Nodes, type Profile, type Scope, STATE, type Thread } from './types';

const MICRO = 1e6;

// While runs are read their order is no order of nodes: what belongs to a node is in one place then, so that a run
// costs one look into memory and not seven. Time by state (four), samples, number of the first run + 1, its time.
const BOX = 8;
const COUNT = 4;
const SEEN = 5;
const FIRST = 6;
let scratch = new Float64Array(0); // all zero between two uses

/** What a thread's runs come to, by node. */
interface Sums {
	node: Int32Array; // ascending
	box: Float64Array; // BOX for each of them
	runs: number; // read
}

function sumsOf(thread: Thread, places: number, range: [number, number] | null): Sums {
	const { node: nodeOf, begin, dur, state, count } = thread;
	const [from, to] = range ?? [-Infinity, Infinity];
	if (scratch.length < places * BOX) scratch = new Float64Array(places * BOX);
	const boxes = scratch;
	const hit = new Int32Array(Math.min(thread.runs, places));
	let hits = 0;
	const start = range ? firstAfter(thread, from) : 0;
	let run = start;
	for (; run < thread.runs; run++) {
		if (begin[run] > to) break;
		const box = nodeOf[run] * BOX;
		let micro = Math.round(dur[run] * MICRO);
		let samples = count[run];
		if (range) {
			const low = Math.max(begin[run], from);
			const high = Math.min(begin[run] + dur[run], to);
			const part = Math.round((high - low) * MICRO);
			if (part < 0 || (part === 0 && micro > 0)) continue;
			if (part < micro) samples *= part / micro;
			micro = part;
		}
		if (boxes[box + SEEN] === 0) {
			boxes[box + SEEN] = run - start + 1;
			boxes[box + FIRST] = range ? Math.max(begin[run], from) : begin[run];
			hit[hits++] = nodeOf[run];
		}
		boxes[box + (state ? state[run] & 3 : 0)] += micro;
		boxes[box + COUNT] += samples;
	}
	const node = hit.slice(0, hits);
	if (hits > places / 16) for (let at = 0, i = 0; at < places; at++) if (boxes[at * BOX + SEEN] !== 0) node[i++] = at;
	if (hits <= places / 16) node.sort();
	const box = new Float64Array(hits * BOX);
	for (let i = 0; i < hits; i++) {
		const at = node[i] * BOX;
		for (let k = 0; k < BOX; k++) {
			box[i * BOX + k] = boxes[at + k];
			boxes[at + k] = 0;
		}
	}
	return { node, box, runs: run - start };
}

/** Without a range the same every time, whatever the filters are. */
const whole = new WeakMap<Thread, Sums>();
function wholeOf(thread: Thread, places: number): Sums {
	let sums = whole.get(thread);
	if (!sums) whole.set(thread, (sums = sumsOf(thread, places, null)));
	return sums;
}

/** Does it now, so that it is not part of a longer piece of work later. */
export function prepare(profile: Profile, thread: Thread): void {
	wholeOf(thread, profile.nodes.n + 1);
}

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
		const sums = range ? sumsOf(thread, this.nodes.n + 1, range) : wholeOf(thread, this.nodes.n + 1);
		const { node, box } = sums;
		for (let i = 0; i < node.length; i++) if (!keep || keep[node[i]]) this.take(node[i], box, i * BOX);
		this.runs += sums.runs;
	}

	private take(node: number, boxes: Float64Array, box: number): void {
		const running = boxes[box + STATE.RUNNING];
		const waiting = boxes[box + STATE.WAITING];
		const gil = boxes[box + STATE.GIL];
		this.self[node] += boxes[box] + running + waiting + gil;
		this.count[node] += boxes[box + COUNT];
		this.running[node] += running;
		this.waiting[node] += waiting;
		this.gil[node] += gil;
		if (this.seen[node] === Infinity) {
			this.seen[node] = this.runs + boxes[box + SEEN] - 1;
			this.first[node] = boxes[box + FIRST];
			this.mark(node);
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
		if (this.markedCount > this.nodes.n / 16) {
			for (const sums of [this.self, this.count, this.waiting, this.gil, this.running, this.first, this.marks]) sums.fill(0);
			this.seen.fill(Infinity);
			this.markedCount = 0;
			return;
		}
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
