// SPDX-License-Identifier: BSD-3-Clause
// For every node the nearest caller with the same key: what recursion must not count twice. One walk with
// an explicit stack, kept per profile.
import { type Grouping, type Profile, moduleOf } from './types';

/** Keys of nodes for a grouping, dense from 0; -1: none. */
export function keysOf(profile: Profile, by: Grouping): Int32Array {
	const { nodes, funcs } = profile;
	const keys = new Int32Array(nodes.n);
	if (by === 'line') {
		const known = new Map<number, number>();
		for (let node = 0; node < nodes.n; node++) {
			const key = funcs.ident[nodes.func[node]] * 2 ** 31 + nodes.line[node];
			let number = known.get(key);
			if (number === undefined) known.set(key, (number = known.size));
			keys[node] = number;
		}
		return keys;
	}
	let of: Int32Array = by === 'file' ? funcs.file : funcs.ident;
	if (by === 'package') {
		const known = new Map<string, number>();
		of = new Int32Array(funcs.n);
		for (let f = 0; f < funcs.n; f++) {
			const name = moduleOf(profile, f);
			if (!known.has(name)) known.set(name, f);
			of[f] = known.get(name)!;
		}
	}
	for (let node = 0; node < nodes.n; node++) keys[node] = of[nodes.func[node]];
	return keys;
}

export interface Nesting {
	keys: Int32Array; // per node
	above: Int32Array; // per node: the nearest caller with the same key, -1 none
	size: number; // keys are below it
}
const kept = new WeakMap<Profile, Partial<Record<Grouping, Nesting>>>();

export function nestingOf(profile: Profile, by: Grouping): Nesting {
	let all = kept.get(profile);
	if (!all) kept.set(profile, (all = {}));
	return (all[by] ??= nest(profile, keysOf(profile, by)));
}

function nest(profile: Profile, keys: Int32Array): Nesting {
	const { n, parent } = profile.nodes;
	const first = new Int32Array(n).fill(-1);
	const next = new Int32Array(n).fill(-1);
	let size = 0;
	let roots = -1;
	for (let node = n - 1; node >= 0; node--) {
		if (keys[node] >= size) size = keys[node] + 1;
		const up = parent[node];
		if (up < 0) {
			next[node] = roots;
			roots = node;
		} else {
			next[node] = first[up];
			first[up] = node;
		}
	}
	const above = new Int32Array(n).fill(-1);
	const last = new Int32Array(size).fill(-1);
	for (let root = roots; root >= 0; root = next[root]) {
		let node = root;
		for (;;) {
			above[node] = last[keys[node]];
			last[keys[node]] = node;
			if (first[node] >= 0) {
				node = first[node];
				continue;
			}
			last[keys[node]] = above[node];
			while (node !== root && next[node] < 0) {
				node = parent[node];
				last[keys[node]] = above[node];
			}
			if (node === root) break;
			node = next[node];
		}
	}
	return { keys, above, size };
}
