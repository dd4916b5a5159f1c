// SPDX-License-Identifier: BSD-3-Clause
// The search language: plain words, re:, file:, mod:, >5%, self>10ms; a space is "and", | is "or". Whatever
// is typed gives a result or an error, nothing throws.
import { Pattern } from './pattern';
import { type Found, type Matches, type Profile, type ViewTree, moduleOf } from './types';

const LONGEST = 4096;
const MOST_TERMS = 64;

interface NameTerm {
	funcs: Uint8Array;
}
interface TimeTerm {
	self: boolean;
	limit: number;
	unit: 'share' | 'seconds' | 'samples';
	more: boolean;
}
type Term = NameTerm | TimeTerm;

const UNITS: Record<string, number> = { us: 1e-6, µs: 1e-6, ms: 1e-3, s: 1, m: 60, min: 60, h: 3600 };

function timeTerm(word: string): TimeTerm | string | null {
	const match = /^(self|total)?([<>])=?(.*)$/.exec(word);
	if (!match) return null;
	const [, what, sign, amount] = match;
	const parts = /^(\d+(?:\.\d*)?|\.\d+)(%|[a-z\u00b5]*)$/i.exec(amount);
	if (!parts) return `${word}: write a figure such as >5% or self>10ms`;
	const unit = parts[2].toLowerCase();
	const value = Number(parts[1]);
	const term = { self: what === 'self', more: sign === '>' };
	if (unit === '%') return { ...term, limit: value / 100, unit: 'share' };
	if (unit === 'n' || unit === 'samples') return { ...term, limit: value, unit: 'samples' };
	if (unit === '') return { ...term, limit: value, unit: 'seconds' };
	if (!(unit in UNITS)) return `${word}: ${parts[2]} is no unit (us, ms, s, min, h, %, n)`;
	return { ...term, limit: value * UNITS[unit], unit: 'seconds' };
}

/** Words of a query; "quoted parts" keep their blanks. A term of re: runs to the next blank outside ( and [. */
function split(query: string): string[][] | string {
	const either: string[][] = [[]];
	let at = 0;
	let terms = 0;
	while (at < query.length) {
		const c = query[at];
		if (c === ' ' || c === '\t' || c === '\n' || c === '\u00a0') {
			at++;
		} else if (c === '|') {
			either.push([]);
			at++;
		} else {
			let word = '';
			const regex = query.startsWith('re:', at);
			let open = 0;
			while (at < query.length) {
				const d = query[at];
				if (regex && d === '\\') {
					word += query.slice(at, at + 2);
					at += 2;
					continue;
				}
				if (regex && '([{'.includes(d)) open++;
				if (regex && ')]}'.includes(d) && open) open--;
				if (d === '"' && !regex) {
					const end = query.indexOf('"', at + 1);
					if (end > 0) {
						word += query.slice(at + 1, end);
						at = end + 1;
						continue;
					}
				}
				if ((d === ' ' || d === '\t' || d === '\n') && !open) break;
				if (d === '|' && !regex) break;
				word += d;
				at++;
			}
			if (++terms > MOST_TERMS) return `more than ${MOST_TERMS} terms`;
			either[either.length - 1].push(word);
		}
	}
	return either.filter((words) => words.length);
}

/** Texts of every function, made once: what a term is compared with. */
interface Texts {
	names: string[];
	files: string[];
	modules: string[];
	shown: string[];
	lower: { names: string[]; files: string[]; modules: string[]; shown: string[] };
}
const known = new WeakMap<Profile, Texts>();
function textsOf(profile: Profile): Texts {
	let texts = known.get(profile);
	if (texts) return texts;
	const cut = (text: string) => (text.length > LONGEST ? text.slice(0, LONGEST) : text);
	const each = (make: (f: number) => string) => Array.from({ length: profile.funcs.n }, (_, f) => cut(make(f)));
	const names = each((f) => profile.funcs.label(f));
	const files = each((f) => profile.funcs.path(f));
	const modules = each((f) => moduleOf(profile, f));
	const small = (list: string[]) => list.map((text) => text.toLowerCase());
	const shown = each((f) => profile.strings[profile.funcs.short[f]]);
	texts = { names, files, modules, shown, lower: { names: small(names), files: small(files), modules: small(modules), shown: small(shown) } };
	known.set(profile, texts);
	return texts;
}

function nameTerm(profile: Profile, word: string): NameTerm | string {
	const texts = textsOf(profile);
	const { n } = profile.funcs;
	const funcs = new Uint8Array(n);
	const prefix = /^(re|file|mod):/.exec(word)?.[1];
	const wanted = prefix ? word.slice(prefix.length + 1) : word;
	if (prefix && !wanted) return `${prefix}: what to look for is missing`;
	const capital = /\p{Lu}/u.test(prefix === 're' ? wanted.replace(/\\./g, '') : wanted);
	if (prefix === 're') {
		const pattern = new Pattern(wanted, !capital);
		// Equal names have equal answers; the budget is for distinct ones.
		const answers = new Map<string, boolean>();
		for (let f = 0; f < n && !pattern.error; f++) {
			const name = texts.names[f];
			let answer = answers.get(name);
			if (answer === undefined) answers.set(name, (answer = pattern.test(name)));
			funcs[f] = answer ? 1 : 0;
		}
		return pattern.error ? `re:${wanted.slice(0, 80)}: ${pattern.error}` : { funcs };
	}
	const from = capital ? texts : texts.lower;
	const text = capital ? wanted : wanted.toLowerCase();
	// A plain word is looked for in what rows show: the name, and the file as it is shortened there.
	const list = prefix === 'file' ? from.files : prefix === 'mod' ? from.modules : from.names;
	const second = prefix ? null : from.shown;
	for (let f = 0; f < n; f++) if (list[f].includes(text) || second?.[f].includes(text)) funcs[f] = 1;
	return { funcs };
}

function testTime(term: TimeTerm, tree: ViewTree, row: number): boolean {
	let value: number;
	if (term.unit === 'samples') value = tree.count[row] * (term.self && tree.total[row] > 0 ? tree.self[row] / tree.total[row] : 1);
	else value = term.self ? tree.self[row] : tree.total[row];
	if (term.unit === 'share') value = tree.totalTime > 0 ? value / tree.totalTime : 0;
	return term.more ? value > term.limit : value < term.limit;
}

/** What a query means for a profile. With `error` nothing matches. */
export function search(profile: Profile, query: string): Found {
	const { n } = profile.funcs;
	const none = (error?: string): Found => ({ query, error, empty: !error, funcs: new Uint8Array(n), test: () => false });
	const words = split(query.length > LONGEST ? query.slice(0, LONGEST) : query);
	if (typeof words === 'string') return none(words);
	if (!words.length) return none();
	const either: Term[][] = [];
	for (const part of words) {
		const terms: Term[] = [];
		for (const word of part) {
			const term = timeTerm(word) ?? nameTerm(profile, word);
			if (typeof term === 'string') return none(term);
			terms.push(term);
		}
		either.push(terms);
	}
	// A function is named by a part when all its terms on names agree; a part of figures alone names none.
	const funcs = new Uint8Array(n);
	const alternatives = either.map((terms) => {
		const named = terms.filter((term): term is NameTerm => 'funcs' in term);
		const all = named.length ? named[0].funcs.slice() : null;
		for (const term of named.slice(1)) for (let f = 0; f < n; f++) all![f] &= term.funcs[f];
		if (all) for (let f = 0; f < n; f++) funcs[f] |= all[f];
		return { all, times: terms.filter((term): term is TimeTerm => 'limit' in term) };
	});
	const test = (tree: ViewTree, row: number): boolean => {
		const f = tree.func[row];
		return alternatives.some(({ all, times }) => (all ? f >= 0 && all[f] === 1 : true) && times.every((term) => testTime(term, tree, row)));
	};
	return { query, empty: false, funcs, test };
}

/** Rows of a tree a search found, in display order; the share counts nested matches once. */
export function matches(tree: ViewTree, found: Found): Matches {
	const hit = new Uint8Array(tree.n);
	if (found.empty || found.error) return { functions: 0, nodes: 0, share: 0, rows: new Int32Array(0), hit };
	const inside = new Uint8Array(tree.n);
	const functions = new Set<number>();
	const rows: number[] = [];
	let time = 0;
	for (let row = 0; row < tree.n; row++) {
		const parent = tree.parent[row];
		const within = parent >= 0 && inside[parent] === 1;
		const match = found.test(tree, row);
		inside[row] = match || within ? 1 : 0;
		if (!match) continue;
		hit[row] = 1;
		rows.push(row);
		functions.add(tree.func[row]);
		if (!within) time += tree.total[row];
	}
	return { functions: functions.size, nodes: rows.length, share: tree.totalTime > 0 ? time / tree.totalTime : 0, rows: Int32Array.from(rows), hit };
}
