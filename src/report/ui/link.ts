// SPDX-License-Identifier: BSD-3-Clause
// The place one looks at, as a fragment: #v=flame&t=1.20-3.40&f=n1532.... A link may come from anybody,
// so everything read from it is checked; and it may belong to an earlier report of the same program, so
// functions and stacks carry a hash of their names and are found again by it. No DOM here.
import type { Filters, Profile, Scope } from '../model/index';
import { type ColorMode, DEFAULT_FILTERS, type Grouping, type Patch, type Sort, type State, UNITS, VIEWS } from './state';
import type { Unit, ViewName } from './state';

const MAX_TEXT = 1000;
const SORTS: Sort[] = ['total', 'self', 'name', 'first'];
const GROUPINGS: Grouping[] = ['function', 'file', 'package', 'line'];
const COLORS: ColorMode[] = ['kind', 'module', 'share', 'diff'];

interface Hashes {
	funcs: Uint32Array;
	nodes: Uint32Array;
}
const known = new WeakMap<Profile, Hashes>();

function textHash(text: string): number {
	let hash = 0x811c9dc5;
	for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
	return hash >>> 0;
}

/** Hashes of every function (class, name, base name of the file) and of every path of them. */
function hashes(profile: Profile): Hashes {
	let found = known.get(profile);
	if (found) return found;
	const { funcs, nodes, strings } = profile;
	found = { funcs: new Uint32Array(funcs.n), nodes: new Uint32Array(nodes.n) };
	const texts = new Map<number, number>();
	const of = (index: number) => {
		let hash = texts.get(index);
		if (hash === undefined) texts.set(index, (hash = textHash(strings[index] ?? '')));
		return hash;
	};
	for (let f = 0; f < funcs.n; f++) {
		let hash = Math.imul(of(funcs.cls[f]) ^ 0x9e3779b1, 0x01000193);
		hash = Math.imul(hash ^ of(funcs.name[f]), 0x01000193);
		found.funcs[f] = Math.imul(hash ^ of(funcs.base[f]), 0x01000193);
	}
	for (let n = 0; n < nodes.n; n++) {
		const parent = nodes.parent[n];
		const above = parent < 0 ? 0x811c9dc5 : found.nodes[parent];
		found.nodes[n] = Math.imul(above ^ found.funcs[nodes.func[n]], 0x01000193) + 1;
	}
	known.set(profile, found);
	return found;
}

const hex = (value: number) => (value >>> 0).toString(16).padStart(8, '0');

function textToken(text: string): string {
	// Letters a fragment may carry as they are stay readable in mails.
	return encodeURIComponent(text).replace(/%2F/g, '/').replace(/%3A/g, ':').replace(/%20/g, '+');
}

/** The fragment of a state, without "#"; what equals the page's defaults is left out. */
export function writeLink(profile: Profile, state: State, defaults: State): string {
	const parts: string[] = [];
	const put = (key: string, value: string | number) => parts.push(`${key}=${value}`);
	const { scope, filters, selection } = state;
	const funcKey = (func: number) => hex(hashes(profile).funcs[func]);
	const nodeKey = (node: number) => `n${node}.${hex(hashes(profile).nodes[node])}`;
	if (state.view !== 'tree') put('v', state.view);
	if (scope.range) put('t', `${+scope.range[0].toFixed(6)}-${+scope.range[1].toFixed(6)}`);
	if (scope.threads.join() !== defaults.scope.threads.join()) put('th', ranges(scope.threads));
	if (scope.merged) put('m', 1);
	if (scope.base) put('b', 1);
	if (selection) {
		if (selection.node >= 0 && selection.node < profile.nodes.n) put('f', nodeKey(selection.node));
		else if (selection.func >= 0) put('f', `f${funcKey(selection.func)}`);
		if (selection.line) put('l', selection.line);
	}
	if (state.zoom >= 0 && state.zoom < profile.nodes.n) put('z', nodeKey(state.zoom));
	if (state.search) put('q', textToken(state.search));
	if (filters.collapse !== 'library') put('hide', filters.collapse);
	if (filters.hide) put('hp', textToken(filters.hide));
	if (filters.show) put('sp', textToken(filters.show));
	const keep = [!filters.importlib && 'i', !filters.tracebackhide && 't', !filters.profiler && 'p'].filter(Boolean).join('');
	if (keep) put('keep', keep);
	if (filters.threshold !== DEFAULT_FILTERS.threshold) put('min', filters.threshold);
	if (!filters.selfRows) put('self', 0);
	if (!filters.mergeLines) put('lines', 1);
	if (filters.mergeRecursion) put('rec', 1);
	if (filters.hiddenFuncs.length) put('hf', filters.hiddenFuncs.map(funcKey).join(','));
	if (filters.hiddenModules.length) put('hm', filters.hiddenModules.map(textToken).join(','));
	if (filters.match) put(filters.match.mode === 'only' ? 'only' : 'not', textToken(filters.match.query));
	if (filters.focusFunc !== null) put('ff', funcKey(filters.focusFunc));
	if (filters.focusNode !== null) put('fn', nodeKey(filters.focusNode));
	if (filters.invert) put('inv', 1);
	if (state.unit !== 's') put('u', state.unit);
	if (state.sort !== 'total') put('o', state.sort);
	if (state.grouping !== 'function') put('g', state.grouping);
	if (state.color !== 'kind') put('c', state.color);
	if (state.flip) put('flip', 1);
	if (state.order !== 'weight') put('ord', state.order);
	if (state.gone) put('gone', 1);
	if (parts.length) put('s', profile.meta.hash);
	return parts.join('&');
}

/** 0,1,2,5 as "0-2,5". */
function ranges(list: number[]): string {
	const out: string[] = [];
	for (let at = 0; at < list.length; ) {
		let end = at;
		while (end + 1 < list.length && list[end + 1] === list[end] + 1) end++;
		out.push(end > at ? `${list[at]}-${list[end]}` : `${list[at]}`);
		at = end + 1;
	}
	return out.join(',');
}

export interface ReadLink {
	patch: Patch;
	lost: string[]; // what the link named and this report does not have
}

/** Reads a fragment; never throws, never takes a value that is not valid for this profile. */
export function readLink(profile: Profile, fragment: string, defaults: State): ReadLink {
	const values = new Map<string, string>();
	for (const part of fragment.replace(/^#/, '').slice(0, 20000).split('&')) {
		const equals = part.indexOf('=');
		if (equals <= 0) continue;
		try {
			values.set(part.slice(0, equals), decodeURIComponent(part.slice(equals + 1).replace(/\+/g, ' ')));
		} catch {
			continue; // a stray per cent sign
		}
	}
	const lost: string[] = [];
	const text = (key: string) => (values.get(key) ?? '').slice(0, MAX_TEXT);
	const flag = (key: string, normal: boolean) => (values.has(key) ? values.get(key) === '1' : normal);
	const oneOf = <T extends string>(key: string, allowed: readonly T[], normal: T): T =>
		allowed.includes(values.get(key) as T) ? (values.get(key) as T) : normal;
	const same = values.get('s') === profile.meta.hash;

	const func = (token: string): number => {
		if (!/^[0-9a-f]{8}$/.test(token)) return -1;
		return hashes(profile).funcs.indexOf(parseInt(token, 16));
	};
	const node = (token: string): number => {
		const match = /^n(\d{1,9})(?:\.([0-9a-f]{8}))?$/.exec(token);
		if (!match) return -1;
		const index = Number(match[1]);
		if (!match[2]) return same && index < profile.nodes.n ? index : -1;
		const hash = parseInt(match[2], 16);
		const all = hashes(profile).nodes;
		return index < profile.nodes.n && all[index] === hash ? index : all.indexOf(hash);
	};
	const stack = (key: string, what: string): number => {
		if (!values.has(key)) return -1;
		const found = node(values.get(key)!);
		if (found < 0) lost.push(what);
		return found;
	};

	const scope: Scope = { ...defaults.scope, merged: flag('m', defaults.scope.merged), base: flag('b', false) && profile.base !== null };
	const time = /^(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)$/.exec(values.get('t') ?? '');
	if (time && Number(time[1]) < Number(time[2])) scope.range = [Number(time[1]), Number(time[2])];
	else scope.range = null;
	if (values.has('th')) {
		const chosen = new Set<number>();
		for (const item of values.get('th')!.split(',').slice(0, 10000)) {
			const match = /^(\d{1,7})(?:-(\d{1,7}))?$/.exec(item);
			if (!match) continue;
			const last = Math.min(Number(match[2] ?? match[1]), profile.threads.length - 1);
			for (let index = Number(match[1]); index <= last; index++) chosen.add(index);
		}
		if (chosen.size) scope.threads = [...chosen].sort((a, b) => a - b);
		else lost.push('threads');
	} else scope.threads = defaults.scope.threads;

	const hidden: number[] = [];
	for (const token of text('hf').split(',').filter(Boolean)) {
		const found = func(token);
		if (found >= 0) hidden.push(found);
		else lost.push('a hidden function');
	}
	const keep = values.get('keep') ?? '';
	const min = Number(values.get('min') ?? NaN);
	const focused = values.has('ff') ? func(values.get('ff')!) : -1;
	if (values.has('ff') && focused < 0) lost.push('the focused function');
	const focusNode = stack('fn', 'the focused subtree');
	const filters: Filters = {
		...DEFAULT_FILTERS,
		collapse: oneOf('hide', ['library', 'custom', 'off'] as const, 'library'),
		hide: text('hp'),
		show: text('sp'),
		importlib: !keep.includes('i'),
		tracebackhide: !keep.includes('t'),
		profiler: !keep.includes('p'),
		threshold: min >= 0 && min < 1 ? min : DEFAULT_FILTERS.threshold,
		selfRows: flag('self', true),
		mergeLines: !flag('lines', false),
		mergeRecursion: flag('rec', false),
		hiddenFuncs: hidden,
		hiddenModules: text('hm').split(',').filter(Boolean),
		match: values.has('only')
			? { query: text('only'), mode: 'only' }
			: values.has('not')
				? { query: text('not'), mode: 'exclude' }
				: null,
		focusFunc: focused >= 0 ? focused : null,
		focusNode: focusNode >= 0 ? focusNode : null,
		invert: flag('inv', false),
	};

	let selection: State['selection'] = null;
	const chosen = values.get('f') ?? '';
	const line = Number(values.get('l') ?? NaN);
	const extra = Number.isInteger(line) && line > 0 ? { line } : {};
	if (chosen.startsWith('f')) {
		const found = func(chosen.slice(1));
		if (found >= 0) selection = { func: found, node: -1, row: -1, ...extra };
		else lost.push('the selected function');
	} else if (chosen) {
		const found = stack('f', 'the selected stack');
		if (found >= 0) selection = { func: profile.nodes.func[found], node: found, row: -1, ...extra };
	}
	let view: ViewName = oneOf('v', VIEWS, 'tree');
	if (view === 'diff' && !profile.base) {
		view = 'tree';
		lost.push('the diff');
	}
	return {
		patch: {
			view,
			scope,
			filters,
			selection,
			search: text('q'),
			zoom: stack('z', 'the zoomed frame'),
			unit: oneOf<Unit>('u', UNITS, defaults.unit),
			sort: oneOf('o', SORTS, 'total'),
			grouping: oneOf('g', GROUPINGS, 'function'),
			color: oneOf('c', COLORS, 'kind'),
			flip: flag('flip', false),
			order: oneOf('ord', ['weight', 'name'] as const, 'weight'),
			gone: flag('gone', false),
		},
		lost,
	};
}
