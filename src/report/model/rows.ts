// SPDX-License-Identifier: BSD-3-Clause
// Rows while a tree is made: found again by caller and place, summed up, put in order, numbered.
import { type Rows } from './processors';

const SUMS = ['own', 'count', 'waiting', 'gil', 'running', 'base', 'baseCount'] as const;

export class RowTable implements Rows {
	n = 0;
	parent = new Int32Array(0);
	first = new Int32Array(0);
	next = new Int32Array(0);
	func = new Int32Array(0);
	line = new Int32Array(0);
	node = new Int32Array(0);
	thread = new Int32Array(0);
	total = new Float64Array(0); // microseconds
	own = new Float64Array(0); // in the row itself; until sum() also count to running
	count = new Float64Array(0);
	waiting = new Float64Array(0);
	gil = new Float64Array(0);
	running = new Float64Array(0);
	base = new Float64Array(0); // of the other session, for comparison
	baseOwn = new Float64Array(0);
	baseCount = new Float64Array(0);
	seen = new Float64Array(0); // order of first sight
	since = new Float64Array(0); // seconds
	isSelf = new Uint8Array(0);
	private place = new Int32Array(0);
	private slots: Int32Array;

	constructor(capacity: number) {
		this.grow(Math.max(64, capacity));
		this.slots = new Int32Array(1 << (33 - Math.clz32(Math.max(512, capacity)))).fill(-1);
	}

	private grow(capacity: number): void {
		const ints = (old: Int32Array) => {
			const out = new Int32Array(capacity);
			out.set(old);
			return out;
		};
		const floats = (old: Float64Array) => {
			const out = new Float64Array(capacity);
			out.set(old);
			return out;
		};
		this.parent = ints(this.parent);
		this.func = ints(this.func);
		this.line = ints(this.line);
		this.node = ints(this.node);
		this.thread = ints(this.thread);
		this.place = ints(this.place);
		for (const key of SUMS) this[key] = floats(this[key]);
		this.seen = floats(this.seen);
		this.since = floats(this.since);
		const flags = new Uint8Array(capacity);
		flags.set(this.isSelf);
		this.isSelf = flags;
	}

	private hash(parent: number, place: number): number {
		let h = Math.imul(parent, 0x9e3779b1) ^ Math.imul(place, 0x85ebca6b);
		h ^= h >>> 15;
		return Math.imul(h, 0x2c1b3c6d) >>> 7;
	}

	private rehash(): void {
		const slots = new Int32Array(this.slots.length * 4).fill(-1);
		const mask = slots.length - 1;
		for (let row = 0; row < this.n; row++) {
			let at = this.hash(this.parent[row], this.place[row]) & mask;
			while (slots[at] >= 0) at = (at + 1) & mask;
			slots[at] = row;
		}
		this.slots = slots;
	}

	/** The row of a place below a row, made when new. */
	below(parent: number, place: number, func: number, line: number, node: number, thread: number): number {
		const mask = this.slots.length - 1;
		let at = this.hash(parent, place) & mask;
		for (let row = this.slots[at]; row >= 0; row = this.slots[at]) {
			if (this.parent[row] === parent && this.place[row] === place) {
				if (this.thread[row] !== thread) this.thread[row] = -1;
				return row;
			}
			at = (at + 1) & mask;
		}
		if (this.n === this.parent.length) this.grow(this.n * 2);
		const row = this.n++;
		this.slots[at] = row;
		this.parent[row] = parent;
		this.place[row] = place;
		this.func[row] = func;
		this.line[row] = line;
		this.node[row] = node;
		this.thread[row] = thread;
		this.seen[row] = Infinity;
		if (this.n * 2 > this.slots.length) this.rehash();
		return row;
	}

	/** Totals by one backward pass over parents. */
	sum(): void {
		const { n, parent, count, waiting, gil, running, base, baseCount, seen, since } = this;
		this.total = this.own.slice(0, n);
		this.baseOwn = base.slice(0, n);
		const { total } = this;
		for (let row = n - 1; row > 0; row--) {
			const up = parent[row];
			if (up < 0) continue;
			total[up] += total[row];
			count[up] += count[row];
			waiting[up] += waiting[row];
			gil[up] += gil[row];
			running[up] += running[row];
			base[up] += base[row];
			baseCount[up] += baseCount[row];
			if (seen[row] < seen[up]) {
				seen[up] = seen[row];
				since[up] = since[row];
			}
		}
	}

	/** Links children: the most time first, equal ones as first seen. Rows `drop` names stay out, with all below. */
	link(drop: ((row: number) => boolean) | null): void {
		const { n, parent, total, seen, base } = this;
		const first = (this.first = new Int32Array(n).fill(-1));
		const next = (this.next = new Int32Array(n).fill(-1));
		const begin = new Int32Array(n + 1);
		const wanted = new Uint8Array(n);
		for (let row = 1; row < n; row++) {
			if (parent[row] < 0 || (drop && drop(row))) continue;
			wanted[row] = 1;
			begin[parent[row] + 1]++;
		}
		for (let row = 0; row < n; row++) begin[row + 1] += begin[row];
		const fill = begin.slice(0, n);
		const children = new Int32Array(begin[n]);
		for (let row = 1; row < n; row++) if (wanted[row]) children[fill[parent[row]]++] = row;
		const before = (a: number, b: number) => total[b] - total[a] || (seen[a] === seen[b] ? base[b] - base[a] || a - b : seen[a] - seen[b]);
		for (let row = 0; row < n; row++) {
			const from = begin[row];
			const to = begin[row + 1];
			if (from === to) continue;
			if (to - from > 24) {
				children.subarray(from, to).sort(before);
			} else {
				for (let i = from + 1; i < to; i++) {
					const child = children[i];
					let j = i;
					while (j > from && before(children[j - 1], child) > 0) {
						children[j] = children[j - 1];
						j--;
					}
					children[j] = child;
				}
			}
			for (let i = to - 1; i >= from; i--) {
				next[children[i]] = first[row];
				first[row] = children[i];
			}
		}
	}

	/** Rows below a root, it first, in display order. */
	order(root: number): Int32Array {
		const out = new Int32Array(this.n);
		let n = 0;
		let row = root;
		for (;;) {
			out[n++] = row;
			if (this.first[row] >= 0) {
				row = this.first[row];
				continue;
			}
			while (row !== root && this.next[row] < 0) row = this.parent[row];
			if (row === root) break;
			row = this.next[row];
		}
		return out.subarray(0, n);
	}
}
