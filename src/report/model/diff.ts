// SPDX-License-Identifier: BSD-3-Clause
// The new session's tree with the base's times beside it. What is noise is decided as the text report of
// --diff does it: a sample stands for total / samples seconds, a frame seen in n of them is uncertain by
// the root of n, and the factor in front grows with the number of functions that could be wrong.
import { functions } from './functions';
import { build, emptyTree, timeInScope } from './tree';
import type { DiffTree, Filters, FunctionRow, Grouping, Profile, Scope } from './types';
import { threadsOf } from './weights';

/** Complementary error function, relative error below 1.2e-7 (Chebyshev fit). */
function erfc(x: number): number {
	const t = 1 / (1 + 0.5 * Math.abs(x));
	const c = [-1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806, 0.27886807, -1.13520398, 1.48851587, -0.82215223, 0.17087277];
	let sum = 0;
	for (let i = c.length - 1; i >= 0; i--) sum = sum * t + c[i];
	const value = t * Math.exp(-x * x + sum);
	return x >= 0 ? value : 2 - value;
}

export function deviationsFor(functions: number): number {
	let deviations = 2;
	while (deviations < 8 && erfc(deviations * Math.SQRT1_2) * functions > 0.05) deviations += 0.01;
	return deviations;
}

export interface Sides {
	scope: Scope; // of the base
	scale: number; // base seconds -> seconds beside the new ones
	total: number;
	baseTotal: number; // unscaled
	samples: number;
	baseSamples: number;
	deviations: number;
	mode: 'time' | 'share';
}

function samplesIn(profile: Profile, scope: Scope): number {
	let sum = 0;
	for (const thread of threadsOf(profile, scope)) for (let run = 0; run < thread.runs; run++) sum += thread.count[run];
	return sum;
}

/** The base's scope: all its threads but idle ones, all time: a range or a thread of one run means nothing in another. */
export function sidesOf(profile: Profile, scope: Scope, mode?: 'time' | 'share'): Sides {
	const threads = profile.base ?? [];
	const busy = threads.map((_, i) => i).filter((i) => !threads[i].idle);
	const base: Scope = { threads: busy.length ? busy : threads.map((_, i) => i), merged: true, range: null, base: true };
	const chosen = mode ?? profile.meta.diff?.mode ?? 'time';
	const total = timeInScope(profile, scope);
	const baseTotal = timeInScope(profile, base);
	return {
		scope: base,
		scale: chosen === 'share' && baseTotal > 0 ? total / baseTotal : 1,
		total,
		baseTotal,
		samples: samplesIn(profile, { ...scope, base: false }),
		baseSamples: samplesIn(profile, base),
		deviations: deviationsFor(new Set(profile.nodes.func).size),
		mode: chosen,
	};
}

/** Whether a change could be chance. `now` and `base` in seconds, the base's not scaled. */
export function isNoise(sides: Sides, now: number, base: number): boolean {
	const weight = sides.samples > 0 ? sides.total / sides.samples : 0;
	const baseWeight = sides.baseSamples > 0 ? sides.baseTotal / sides.baseSamples : 0;
	const variance = Math.max(0, now) * weight + Math.max(0, base) * baseWeight * sides.scale ** 2;
	const delta = Math.abs(now - base * sides.scale);
	return delta <= sides.deviations * Math.sqrt(variance) || delta < 1e-9 * (sides.total + sides.baseTotal * sides.scale);
}

/** Rows of either session; threads are added up. `mode` overrides the report's. */
export function diffTree(profile: Profile, scope: Scope, filters: Filters, mode?: 'time' | 'share'): DiffTree {
	const sides = sidesOf(profile, scope, mode);
	const of = { ...profile, base: profile.base ?? [] };
	const result = build(of, { ...scope, merged: true, base: false }, { ...filters, invert: false }, sides.scope, sides.scale);
	const floats = () => new Float64Array(0);
	if (!result || !('tree' in result)) {
		const none = emptyTree(result?.totalTime, result?.error);
		return { ...none, base: floats(), delta: floats(), baseCount: floats(), noisy: new Uint8Array(0), gone: new Uint8Array(0), fresh: new Uint8Array(0), mode: sides.mode };
	}
	const { tree, order, rows } = result;
	const { n } = tree;
	const out: DiffTree = {
		...tree,
		base: new Float64Array(n),
		delta: new Float64Array(n),
		baseCount: new Float64Array(n),
		noisy: new Uint8Array(n),
		gone: new Uint8Array(n),
		fresh: new Uint8Array(n),
		mode: sides.mode,
	};
	for (let i = 0; i < n; i++) {
		const seconds = rows.base[order[i]] / 1e6;
		out.base[i] = seconds * sides.scale;
		out.delta[i] = tree.total[i] - out.base[i];
		out.baseCount[i] = rows.baseCount[order[i]];
		out.noisy[i] = isNoise(sides, tree.total[i], seconds) ? 1 : 0;
		out.gone[i] = tree.count[i] === 0 && out.baseCount[i] > 0 ? 1 : 0;
		out.fresh[i] = tree.count[i] > 0 && out.baseCount[i] === 0 ? 1 : 0;
	}
	return out;
}

export interface DiffFunctionRow extends FunctionRow {
	base: number;
	baseSelf: number;
	baseCount: number;
	delta: number; // of total
	deltaSelf: number;
	noisy: boolean; // the change of own time
	gone: boolean;
	fresh: boolean;
}

/** The function table with both sides, functions of the base alone included; most change of own time first. */
export function diffFunctions(profile: Profile, scope: Scope, filters: Filters, by: Grouping = 'function', mode?: 'time' | 'share'): DiffFunctionRow[] {
	const sides = sidesOf(profile, scope, mode);
	const { funcs, strings } = profile;
	const key = (row: FunctionRow) => (by === 'function' ? `${row.key} ${strings[funcs.short[row.func]]}` : by === 'line' ? `${row.key} ${strings[funcs.short[row.func]]}:${row.line}` : row.key);
	const rows = new Map<string, DiffFunctionRow>();
	const empty = { base: 0, baseSelf: 0, baseCount: 0, delta: 0, deltaSelf: 0, noisy: true, gone: false, fresh: false };
	const sum = (into: DiffFunctionRow, row: FunctionRow) => {
		into.self += row.self;
		into.total += row.total;
		into.count += row.count;
		into.waiting += row.waiting;
		into.gil += row.gil;
		into.running += row.running;
	};
	for (const row of functions(profile, { ...scope, base: false }, filters, by)) {
		const known = rows.get(key(row));
		if (known) sum(known, row);
		else rows.set(key(row), { ...row, ...empty });
	}
	for (const row of functions(profile, sides.scope, filters, by)) {
		let into = rows.get(key(row));
		if (!into) rows.set(key(row), (into = { ...row, self: 0, total: 0, count: 0, waiting: 0, gil: 0, running: 0, ...empty }));
		into.base += row.total;
		into.baseSelf += row.self;
		into.baseCount += row.count;
	}
	for (const row of rows.values()) {
		row.noisy = isNoise(sides, row.self, row.baseSelf);
		row.gone = row.count === 0 && row.baseCount > 0;
		row.fresh = row.count > 0 && row.baseCount === 0;
		row.base *= sides.scale;
		row.baseSelf *= sides.scale;
		row.delta = row.total - row.base;
		row.deltaSelf = row.self - row.baseSelf;
	}
	return [...rows.values()].sort((a, b) => Math.abs(b.deltaSelf) - Math.abs(a.deltaSelf) || Math.abs(b.delta) - Math.abs(a.delta) || a.func - b.func);
}
