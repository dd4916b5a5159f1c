// SPDX-License-Identifier: BSD-3-Clause
// The one store of the page. Every view reads the same selection, time range, thread set, search and
// frame filters from here, so switching views keeps all five. Knows no view and draws nothing.
import type { Filters, Profile, Scope } from '../model/index';

export type ViewName = 'tree' | 'flame' | 'timeline' | 'functions' | 'source' | 'diff';
export const VIEWS: ViewName[] = ['tree', 'flame', 'timeline', 'functions', 'source', 'diff'];
export type Unit = 's' | 'ms' | 'pct' | 'parent' | 'samples';
export const UNITS: Unit[] = ['s', 'ms', 'pct', 'parent', 'samples'];
export type Theme = 'system' | 'light' | 'dark';
export type Sort = 'total' | 'self' | 'name' | 'first';
export type Grouping = 'function' | 'file' | 'package' | 'line';
export type ColorMode = 'kind' | 'module' | 'share' | 'diff';

/** What is selected: a function, and when one place is meant, the payload node it stands for. */
export interface Selection {
	func: number; // -1: the [root] row
	node: number; // payload node, or -1: the function wherever it runs
	row: number; // row of the tree the selection was made in, or -1; only a hint
	line?: number; // Source: the line looked at
}

export interface State {
	view: ViewName;
	scope: Scope;
	filters: Filters;
	selection: Selection | null;
	search: string; // as typed
	unit: Unit;
	theme: Theme;
	sort: Sort;
	zoom: number; // flame: payload node zoomed to, or -1
	flip: boolean; // flame: root at the bottom
	order: 'weight' | 'name'; // flame: order of siblings
	color: ColorMode;
	grouping: Grouping; // functions
	gone: boolean; // diff: draw the base's widths and what exists only there
	busy: string; // what is being worked on, or ''
	notice: string; // one line for the reader: what a link could not restore, what was copied
}

export type Patch = Partial<State>;
export type SetState = (patch: Patch) => void;
export interface ViewProps {
	profile: Profile;
	state: State;
	set: SetState;
}

/**
 * What the active view lends to the shell. `keys` sees a key before the shell does and says whether it
 * used it; `step` goes to the next (1) or previous (-1) search match in its own order; `svg` and `canvas`
 * give the picture for the Save menu.
 */
export interface ViewHooks {
	keys?: (event: KeyboardEvent) => boolean;
	step?: (direction: 1 | -1) => boolean;
	svg?: () => string;
	canvas?: () => HTMLCanvasElement;
	focus?: () => void;
}

export const DEFAULT_FILTERS: Filters = {
	collapse: 'library',
	hide: '',
	show: '',
	importlib: true,
	tracebackhide: true,
	profiler: true,
	threshold: 0.001,
	selfRows: true,
	mergeLines: true,
	mergeRecursion: false,
	hiddenFuncs: [],
	hiddenModules: [],
	match: null,
	focusFunc: null,
	focusNode: null,
	invert: false,
};

/** The text report's scope: every thread but the idle ones, all time. */
export function defaultScope(profile: Profile): Scope {
	const all = profile.threads.map((_, index) => index);
	const busy = all.filter((index) => !profile.threads[index].idle);
	return { threads: busy.length ? busy : all, merged: false, range: null, base: false };
}

export function initialState(profile: Profile): State {
	return {
		view: 'tree',
		scope: defaultScope(profile),
		filters: DEFAULT_FILTERS,
		selection: null,
		search: '',
		unit: 's',
		theme: 'system',
		sort: 'total',
		zoom: -1,
		flip: false,
		order: 'weight',
		color: 'kind',
		grouping: 'function',
		gone: false,
		busy: '',
		notice: '',
	};
}

export class Store {
	private state: State;
	private listeners = new Set<(state: State) => void>();
	private pending: Patch | null = null;
	/** `heavy`: recomputing a tree takes long enough that the reader must be told first. */
	constructor(
		state: State,
		private readonly heavy: boolean,
	) {
		this.state = state;
	}

	get = (): State => this.state;

	set = (patch: Patch): void => {
		const slow = 'scope' in patch || 'filters' in patch || (patch.view && patch.view !== this.state.view);
		if (!slow || !this.heavy) {
			this.apply(patch);
			return;
		}
		// Two frames: the first paints the word, the second starts the work.
		const waiting = this.pending !== null;
		this.pending = { ...this.pending, ...patch };
		if (waiting) return;
		this.apply({ busy: 'Working…' });
		requestAnimationFrame(() =>
			setTimeout(() => {
				const work = this.pending;
				this.pending = null;
				this.apply({ ...work, busy: '' });
			}, 0),
		);
	};

	subscribe = (listener: (state: State) => void): (() => void) => {
		this.listeners.add(listener);
		return () => this.listeners.delete(listener);
	};

	private apply(patch: Patch): void {
		this.state = { ...this.state, ...patch };
		for (const listener of this.listeners) listener(this.state);
	}
}

let hooks: ViewHooks = {};
export const activeView = (): ViewHooks => hooks;

/** Called by a view when it is mounted; the returned function when it goes. */
export function lend(offered: ViewHooks): () => void {
	hooks = offered;
	return () => {
		if (hooks === offered) hooks = {};
	};
}
