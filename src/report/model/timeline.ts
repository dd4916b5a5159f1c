// SPDX-License-Identifier: BSD-3-Clause
// What happened when on one thread, at any zoom. Runs are leaves of a binary tree over their numbers: a
// bucket knows its heaviest run, so that a picture looks at about one bucket per pixel however many runs
// there are. Callers at a depth are found by jumps, so deep stacks cost no more than shallow ones.
import { type Box, KIND, type Nodes, type Profile, STATE, type Thread, type TimelineIndex } from './types';
import { firstAfter } from './weights';

interface Levels {
	depth: Int32Array; // per node, 0 for roots
	jump: Int32Array; // per node: a caller further up (skew-binary), itself for roots
}
const known = new WeakMap<Nodes, Levels>();

function levelsOf(nodes: Nodes): Levels {
	let levels = known.get(nodes);
	if (levels) return levels;
	const { n, parent } = nodes;
	const depth = new Int32Array(n);
	const jump = new Int32Array(n);
	for (let node = 0; node < n; node++) {
		const up = parent[node];
		if (up < 0) {
			jump[node] = node;
			continue;
		}
		depth[node] = depth[up] + 1;
		// Equal steps above make one of twice the length: every caller is then reached in O(log depth).
		const over = jump[up];
		jump[node] = depth[up] - depth[over] === depth[over] - depth[jump[over]] ? jump[over] : up;
	}
	levels = { depth, jump };
	known.set(nodes, levels);
	return levels;
}

const indexes = new WeakMap<Thread, TimelineIndex>();

export function timelineIndex(profile: Profile, thread: Thread): TimelineIndex {
	let made = indexes.get(thread);
	if (!made) indexes.set(thread, (made = makeIndex(profile, thread)));
	return made;
}

function makeIndex(profile: Profile, thread: Thread): TimelineIndex {
	const { nodes, funcs } = profile;
	const { runs, node: nodeOf, begin, dur, state } = thread;
	const { depth, jump } = levelsOf(nodes);
	// Level k: per 2^k runs the number of the longest one.
	const heaviest: Int32Array[] = [];
	for (let size = Math.ceil(runs / 2), below: Int32Array | null = null; runs > 1; size = Math.ceil(size / 2)) {
		const level: Int32Array = new Int32Array(size);
		const count: number = below ? below.length : runs;
		for (let i = 0; i < size; i++) {
			const a: number = below ? below[2 * i] : 2 * i;
			const b: number = 2 * i + 1 < count ? (below ? below[2 * i + 1] : 2 * i + 1) : a;
			level[i] = dur[b] > dur[a] ? b : a;
		}
		heaviest.push(level);
		below = level;
		if (size === 1) break;
	}
	let deepest = 0;
	for (let run = 0; run < runs; run++) if (nodeOf[run] < nodes.n && depth[nodeOf[run]] + 1 > deepest) deepest = depth[nodeOf[run]] + 1;
	const start = runs ? begin[0] : thread.start;
	const stop = runs ? begin[runs - 1] + dur[runs - 1] : thread.start;

	/**
	 * Pieces of a range in order: runs, or buckets no wider than a pixel, with their number of runs and
	 * their longest run.
	 */
	function pieces(t0: number, t1: number, pixels: number, visit: (from: number, to: number, run: number) => void): void {
		if (!runs || !(t1 > t0)) return;
		const pixel = (t1 - t0) / Math.max(1, pixels);
		const stack: number[] = [heaviest.length, 0];
		while (stack.length) {
			const at = stack.pop()!;
			const level = stack.pop()!;
			const from = at * 2 ** level;
			const to = Math.min(runs, (at + 1) * 2 ** level);
			if (from >= to || begin[from] > t1 || begin[to - 1] + dur[to - 1] < t0) continue;
			if (level === 0) visit(from, to, from);
			else if (begin[to - 1] + dur[to - 1] - begin[from] <= pixel) visit(from, to, heaviest[level - 1][at]);
			else stack.push(level - 1, 2 * at + 1, level - 1, 2 * at);
		}
	}

	function callerAt(node: number, wanted: number): number {
		let at = node;
		while (depth[at] > wanted) at = depth[jump[at]] >= wanted ? jump[at] : nodes.parent[at];
		return at;
	}

	function query(t0: number, t1: number, pixels: number, fromDepth = 0, toDepth = Infinity): Box[] {
		const boxes: Box[] = [];
		const last = Math.min(toDepth, deepest - 1);
		if (last < fromDepth) return boxes;
		const lanes = last - fromDepth + 1;
		const pixel = (t1 - t0) / Math.max(1, pixels);
		const open: (Box | null)[] = new Array(lanes).fill(null);
		const longest = new Float64Array(lanes); // the piece that names a merged box
		const path = new Int32Array(lanes);
		let opened = 0;
		const close = (from: number) => {
			for (let lane = from; lane < opened; lane++) if (open[lane]) boxes.push(open[lane]!);
			for (let lane = from; lane < opened; lane++) open[lane] = null;
			opened = Math.min(opened, from);
		};
		let end = -Infinity;
		pieces(t0, t1, pixels, (from, to, run) => {
			const node = nodeOf[run];
			const first = begin[from];
			const stopAt = begin[to - 1] + dur[to - 1];
			const small = stopAt - first < pixel;
			const depthHere = node < nodes.n ? depth[node] : -1;
			const here = Math.max(0, Math.min(last, depthHere) - fromDepth + 1);
			if (here) {
				let at = callerAt(node, Math.min(last, depthHere));
				for (let lane = here - 1; lane >= 0; lane--) {
					path[lane] = at;
					at = nodes.parent[at];
				}
			}
			// Nothing is drawn across time that nobody saw.
			if (first - end > Math.max(2e-6, pixel * 0.5)) close(0);
			end = stopAt;
			let same = 0;
			for (; same < here && same < opened; same++) {
				const box = open[same]!;
				if (funcs.ident[nodes.func[box.node]] === funcs.ident[nodes.func[path[same]]]) {
					box.end = stopAt;
					if (stopAt - first > longest[same]) {
						longest[same] = stopAt - first;
						box.node = path[same];
						box.func = nodes.func[path[same]];
					}
					continue;
				}
				// Two things too small to be drawn apart become one box.
				if (small && box.end - box.begin < pixel && stopAt - box.begin <= pixel) {
					box.end = stopAt;
					box.merged += to - from;
					if (stopAt - first > longest[same]) {
						longest[same] = stopAt - first;
						box.node = path[same];
						box.func = nodes.func[path[same]];
					}
					continue;
				}
				break;
			}
			close(same);
			for (let lane = same; lane < here; lane++) {
				open[lane] = {
					depth: fromDepth + lane,
					begin: first,
					end: stopAt,
					func: nodes.func[path[lane]],
					node: path[lane],
					merged: to - from,
					state: state ? state[run] : STATE.UNKNOWN,
				};
				longest[lane] = stopAt - first;
			}
			opened = here;
		});
		close(0);
		return boxes;
	}

	function states(t0: number, t1: number, pixels: number): { begin: number; end: number; state: number }[] {
		const out: { begin: number; end: number; state: number }[] = [];
		if (!state) return out;
		pieces(t0, t1, pixels, (from, to, run) => {
			const before = out[out.length - 1];
			const stopAt = begin[to - 1] + dur[to - 1];
			if (before && before.state === state[run] && begin[from] - before.end < 2e-6) before.end = stopAt;
			else out.push({ begin: begin[from], end: stopAt, state: state[run] });
		});
		return out;
	}

	function gaps(t0: number, t1: number, pixels: number): { begin: number; end: number }[] {
		const out: { begin: number; end: number }[] = [];
		const pixel = (t1 - t0) / Math.max(1, pixels);
		let end = Math.max(t0, thread.start);
		pieces(t0, t1, pixels, (from, to) => {
			if (begin[from] - end > Math.max(2e-6, pixel * 0.5)) out.push({ begin: end, end: begin[from] });
			end = Math.max(end, begin[to - 1] + dur[to - 1]);
		});
		return out;
	}

	function load(t0: number, t1: number, buckets: number): { busy: Float32Array; seen: Float32Array } {
		const busy = new Float32Array(buckets);
		const seen = new Float32Array(buckets);
		const width = (t1 - t0) / buckets;
		if (!(width > 0)) return { busy, seen };
		for (let run = firstAfter(thread, t0); run < runs && begin[run] < t1; run++) {
			const waits = (state && state[run] === STATE.WAITING) || (nodeOf[run] < nodes.n && funcs.kind[nodes.func[nodeOf[run]]] === KIND.WAITING);
			const low = Math.max(t0, begin[run]);
			const high = Math.min(t1, begin[run] + dur[run]);
			let bucket = Math.min(buckets - 1, Math.floor((low - t0) / width));
			for (; bucket < buckets; bucket++) {
				const left = t0 + bucket * width;
				const part = Math.min(high, left + width) - Math.max(low, left);
				if (part <= 0 && left >= high) break;
				if (part <= 0) continue;
				seen[bucket] += part / width;
				if (!waits) busy[bucket] += part / width;
			}
		}
		return { busy, seen };
	}

	function at(t: number): number {
		const run = firstAfter(thread, t);
		return run < runs && begin[run] <= t ? run : -1;
	}

	return { depth: deepest, begin: start, end: stop, query, states, gaps, load, at };
}
