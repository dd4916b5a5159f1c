// SPDX-License-Identifier: BSD-3-Clause
// What can be done with a frame, wherever it is shown: one list for the context menu of every view, the
// details panel and the keys.
import { type Filters, type Profile, label, location, moduleOf, stackText } from '../model/index';
import { type Item, Items, Panel } from './menu';
import { DEFAULT_FILTERS, type Patch, type SetState, type State, type ViewName } from './state';

export interface Target {
	func: number;
	node: number; // payload node or -1
	line: number; // 0 unknown
}

/** The clipboard, also where the page may not use it (a sandboxed frame): then by an old road. */
export async function copyText(text: string): Promise<boolean> {
	try {
		await navigator.clipboard.writeText(text);
		return true;
	} catch {
		const area = document.createElement('textarea');
		area.value = text;
		area.className = 'off';
		const before = document.activeElement as HTMLElement | null;
		document.body.appendChild(area);
		area.select();
		let done = false;
		try {
			done = document.execCommand('copy');
		} catch {
			done = false;
		}
		area.remove();
		before?.focus?.();
		return done;
	}
}

export async function copy(text: string, what: string, set: SetState): Promise<void> {
	set({ notice: (await copyText(text)) ? `Copied ${what}` : `The browser refused to copy ${what}` });
}

const withFilters = (state: State, patch: Partial<Filters>): Patch => ({ filters: { ...state.filters, ...patch } });

export function hideFunction(state: State, func: number): Patch {
	if (func < 0 || state.filters.hiddenFuncs.includes(func)) return {};
	return withFilters(state, { hiddenFuncs: [...state.filters.hiddenFuncs, func] });
}

export function unhideAll(state: State): Patch {
	return withFilters(state, { hiddenFuncs: [], hiddenModules: [], focusFunc: null, focusNode: null, invert: false });
}

export function resetFilters(state: State): Patch {
	return { filters: DEFAULT_FILTERS, search: '', scope: { ...state.scope, range: null } };
}

/** Calls of the text of a stack for one node; without a node, of the function alone. */
export function stackOf(profile: Profile, target: Target): string {
	return target.node >= 0 ? stackText(profile, target.node) : `${label(profile, target.func)}  ${location(profile, target.func, target.line)}\n`;
}

export function actionsOf(profile: Profile, state: State, set: SetState, target: Target): (Item | null)[] {
	const { func, node } = target;
	const module = moduleOf(profile, func);
	const goTo = (view: ViewName, more: Patch = {}) => () => set({ view, selection: { func, node, row: -1, line: target.line || undefined }, ...more });
	const { filters } = state;
	return [
		{ label: 'Focus on this subtree', key: 'Enter', disabled: node < 0, run: () => set(withFilters(state, { focusNode: node, focusFunc: null, invert: false })) },
		{ label: 'Focus on this function, all its calls', run: () => set(withFilters(state, { focusFunc: func, focusNode: null, invert: false })) },
		{ label: 'Callers of this function', run: () => set(withFilters(state, { focusFunc: func, focusNode: null, invert: true })) },
		null,
		{ label: 'Hide this function', key: 'h', run: () => set(hideFunction(state, func)) },
		{
			label: `Hide module ${module.length > 32 ? `${module.slice(0, 31)}…` : module}`,
			disabled: !module || filters.hiddenModules.includes(module),
			run: () => set(withFilters(state, { hiddenModules: [...filters.hiddenModules, module] })),
		},
		null,
		{ label: 'Show in flame graph', run: goTo('flame', { zoom: node }) },
		{ label: 'Show in timeline', run: goTo('timeline') },
		{ label: 'Show in functions', run: goTo('functions') },
		{ label: 'Show source', key: 's', run: goTo('source') },
		null,
		{ label: 'Copy stack', key: 'Shift+Y', run: () => void copy(stackOf(profile, target), 'the stack', set) },
		{ label: 'Copy file:line', run: () => void copy(location(profile, func, target.line), 'the location', set) },
	];
}

interface RowMenuProps {
	profile: Profile;
	state: State;
	set: SetState;
	target: Target;
	at: { left: number; top: number; bottom: number };
	close: () => void;
}

/** The context menu of a frame. */
export function RowMenu({ profile, state, set, target, at, close }: RowMenuProps) {
	return (
		<Panel label={`Actions for ${label(profile, target.func)}`} role="menu" at={() => at} close={close}>
			<Items items={actionsOf(profile, state, set, target)} close={close} />
		</Panel>
	);
}
