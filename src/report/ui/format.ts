// SPDX-License-Identifier: BSD-3-Clause
// Numbers as the reader sees them. Never the locale's separator: the same figure must look the same in
// the page, in the console and in a mail.
import type { Profile } from '../model/index';
import type { Unit } from './state';

/** Decimals of a second that the interval supports: 1 ms gives 3, 100 us gives 4. */
export function decimals(intervalUs: number): number {
	if (!(intervalUs > 0)) return 3;
	return Math.max(0, Math.min(6, Math.ceil(6 - Math.log10(intervalUs) - 1e-9)));
}

export function seconds(profile: Profile, value: number): string {
	return value.toFixed(decimals(profile.meta.interval_us));
}

export function percent(share: number): string {
	return `${(Number.isFinite(share) ? share * 100 : 0).toFixed(1)} %`;
}

/** Whole percents for prose. */
export function wholePercent(share: number): string {
	const value = Number.isFinite(share) ? share * 100 : 0;
	return value > 0 && value < 1 ? '<1 %' : `${Math.round(value)} %`;
}

/** 12345 as "12 345": groups with a narrow no-break space. */
export function integer(value: number): string {
	return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, '\u202f');
}

/** "1 sample", "2 samples" */
export function plural(count: number, word: string): string {
	return `${integer(count)} ${word}${Math.round(count) === 1 ? '' : 's'}`;
}

/** A duration in prose: 480 ms, 4.08 s, 3 min 07 s, 2 h 05 min. */
export function duration(value: number): string {
	if (value < 0.0005) return `${Math.round(value * 1e6)} µs`;
	if (value < 0.9995) return `${Number((value * 1000).toPrecision(3))} ms`;
	if (value < 59.95) return `${value.toPrecision(3)} s`;
	const whole = Math.round(value);
	const pad = (part: number) => String(part).padStart(2, '0');
	if (whole < 3600) return `${Math.floor(whole / 60)} min ${pad(whole % 60)} s`;
	return `${Math.floor(whole / 3600)} h ${pad(Math.floor((whole % 3600) / 60))} min`;
}

/**
 * One time in the chosen unit. `count` is the number of samples it stands on: below five the figure is
 * an estimate and says so with a tilde.
 */
export function time(profile: Profile, unit: Unit, value: number, count: number, total: number, parent: number): string {
	let text: string;
	const digits = decimals(profile.meta.interval_us);
	if (unit === 's') text = value.toFixed(digits);
	else if (unit === 'ms') text = (value * 1000).toFixed(Math.max(0, digits - 3));
	else if (unit === 'samples') return integer(count);
	else {
		const whole = unit === 'parent' ? parent : total;
		text = percent(whole > 0 ? value / whole : 0);
	}
	return count < 5 && count > 0 ? `~${text}` : text;
}

export const UNIT_NAMES: Record<Unit, string> = {
	s: 'seconds',
	ms: 'milliseconds',
	pct: '% of total',
	parent: '% of parent',
	samples: 'samples',
};
export const UNIT_SIGNS: Record<Unit, string> = { s: 's', ms: 'ms', pct: '%', parent: '% ↑', samples: 'n' };

/** The class of colour for a share of the total. */
export function heat(share: number): string {
	return share >= 0.6 ? 't60' : share >= 0.3 ? 't30' : share >= 0.15 ? 't15' : share >= 0.05 ? 't5' : 't0';
}

export const KIND_NAMES = [
	'your code',
	'installed package',
	'standard library',
	'built-in',
	'importing',
	'garbage collection',
	'waiting',
	'thread',
	'note',
];
