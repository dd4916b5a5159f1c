// SPDX-License-Identifier: BSD-3-Clause
// The keyboard: the active view is asked first, then these.
import { useEffect, useRef } from 'preact/hooks';
import type { Profile } from '../model/index';
import { copy, hideFunction, stackOf, unhideAll } from './actions';
import { type SetState, type State, UNITS, VIEWS, activeView } from './state';
import { nextThread } from './threads';
import { UNIT_NAMES } from './format';

export interface Shell {
	profile: Profile;
	get: () => State;
	set: SetState;
	search: () => HTMLInputElement | null;
	help: (open: boolean) => void;
	link: () => string;
}

export const KEYS: [string, string][] = [
	['1 … 6', 'switch view'],
	['/  or  Ctrl+F', 'search'],
	['Enter, Shift+Enter', 'in the search: next, previous match'],
	['Esc', 'close, then clear search, zoom, range'],
	['↑ ↓', 'previous, next row; parent, heaviest child in flame'],
	['→ ←', 'expand, collapse or parent; siblings in flame'],
	['Alt+→  Alt+←', 'expand, collapse the whole subtree'],
	['Home End PgUp PgDn', 'first, last, a page up, down'],
	['Enter', 'focus on the subtree, zoom in flame'],
	['Backspace', 'back'],
	['0', 'reset focus and zoom'],
	['h, Shift+H', 'hide function, unhide all'],
	['l', 'library frames on and off'],
	['i, c', 'flip icicle, callers (inverted)'],
	['t', 'time format'],
	['[  ]', 'previous, next thread; files in Source'],
	['n  p', 'Source: next, previous hot line'],
	['z', 'Timeline: zoom to the range'],
	['s', 'source of the selection'],
	['y, Shift+Y', 'copy link, copy stack as text'],
	['d', 'dark, light, system'],
	['Shift+F10', 'actions for the row'],
	['?', 'this list'],
];

// Focus steps, for Backspace.
const focusTrail: State['filters'][] = [];

function typing(event: KeyboardEvent): boolean {
	const target = event.target as HTMLElement | null;
	if (!target?.tagName) return false;
	if (target.isContentEditable || target.tagName === 'TEXTAREA' || target.tagName === 'SELECT') return true;
	return target.tagName === 'INPUT' && !['checkbox', 'radio', 'button'].includes((target as HTMLInputElement).type);
}

export function installKeys(shell: Shell): () => void {
	const { profile, get, set } = shell;
	const onKey = (event: KeyboardEvent) => {
		if (event.defaultPrevented) return;
		const search = shell.search();
		if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === 'f') {
			if (document.activeElement === search) return; // twice: the browser's own
			event.preventDefault();
			search?.focus();
			search?.select();
			return;
		}
		if (typing(event) || document.querySelector('dialog[open]')) return;
		const target = event.target as HTMLElement;
		const control = target.closest?.('button, summary, a, input, [role="tab"]');
		// Space and Enter belong to a focused button, arrows to a row of tabs.
		if (control && [' ', 'Enter'].includes(event.key)) return;
		if (target.closest?.('[role="tablist"]') && event.key.startsWith('Arrow')) return;
		if (target.closest?.('.lanes') && /^(Arrow|Page|Home|End)/.test(event.key)) return;
		if (target.closest?.('aside, .pop') && /^(Arrow|Page|Home|End)/.test(event.key)) return;
		const before = get().filters;
		if (activeView().keys?.(event)) {
			event.preventDefault();
			if (get().filters !== before) focusTrail.push(before);
			return;
		}
		if (event.ctrlKey || event.metaKey || event.altKey) return;
		const state = get();
		const { selection } = state;
		const known = selection !== null && selection.func >= 0;
		const actions: Record<string, () => void> = {
			'/': () => {
				search?.focus();
				search?.select();
			},
			'?': () => shell.help(true),
			Escape: () => {
				if (state.search) set({ search: '' });
				else if (state.zoom >= 0) set({ zoom: -1 });
				else if (state.scope.range) set({ scope: { ...state.scope, range: null } });
				else if (state.notice) set({ notice: '' });
			},
			Enter: () => {
				if (!selection || selection.node < 0) return;
				focusTrail.push(state.filters);
				set({ filters: { ...state.filters, focusNode: selection.node } });
			},
			Backspace: () => {
				const back = focusTrail.pop();
				if (back) set({ filters: back });
			},
			'0': () => {
				focusTrail.length = 0;
				set({ zoom: -1, filters: { ...state.filters, focusNode: null, focusFunc: null, invert: false } });
			},
			h: () => known && set(hideFunction(state, selection.func)),
			H: () => set(unhideAll(state)),
			l: () => set({ filters: { ...state.filters, collapse: state.filters.collapse === 'off' ? 'library' : 'off' } }),
			i: () => set({ flip: !state.flip }),
			c: () => set({ filters: { ...state.filters, invert: !state.filters.invert } }),
			t: () => {
				const unit = UNITS[(UNITS.indexOf(state.unit) + 1) % UNITS.length];
				set({ unit, notice: `Times in ${UNIT_NAMES[unit]}` });
			},
			'[': () => set({ scope: nextThread(profile, state, -1) }),
			']': () => set({ scope: nextThread(profile, state, 1) }),
			s: () => known && set({ view: 'source' }),
			y: () => void copy(shell.link(), 'the link', set),
			Y: () => known && void copy(stackOf(profile, { func: selection.func, node: selection.node, line: 0 }), 'the stack', set),
			d: () => {
				const theme = state.theme === 'system' ? 'dark' : state.theme === 'dark' ? 'light' : 'system';
				set({ theme, notice: `Theme: ${theme}` });
			},
		};
		const digit = Number(event.key);
		if (digit >= 1 && digit <= VIEWS.length) {
			const view = VIEWS[digit - 1];
			if (view !== 'diff' || profile.base) set({ view });
			event.preventDefault();
			return;
		}
		const action = Object.prototype.hasOwnProperty.call(actions, event.key) ? actions[event.key] : null;
		if (!action) return;
		event.preventDefault();
		action();
	};
	document.addEventListener('keydown', onKey);
	return () => document.removeEventListener('keydown', onKey);
}

export function Help({ close }: { close: () => void }) {
	const ref = useRef<HTMLDialogElement>(null);
	useEffect(() => {
		const dialog = ref.current!;
		const before = document.activeElement as HTMLElement | null;
		dialog.showModal();
		return () => before?.focus?.();
	}, []);
	return (
		<dialog ref={ref} aria-label="Keyboard" onClose={close} onClick={(event) => event.target === ref.current && close()}>
			<div class="top-row">
				<h2 class="grow">Keyboard</h2>
				<button onClick={close}>Close</button>
			</div>
			<ul class="keys">
				{KEYS.map(([keys, what]) => (
					<li key={keys}>
						<kbd>{keys}</kbd>
						<span>{what}</span>
					</li>
				))}
			</ul>
			<p class="muted notes">
				Search: words are substrings; <code>re:…</code> regular expression, <code>file:…</code>, <code>mod:…</code>, <code>&gt;5%</code>, <code>self&gt;10ms</code>; space is “and”,{' '}
				<code>|</code> is “or”.
			</p>
		</dialog>
	);
}
