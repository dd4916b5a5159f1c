// SPDX-License-Identifier: BSD-3-Clause
// View options: which frames are shown, and the chips that keep every active filter in sight.
import type { Profile } from '../model/index';
import { label } from '../model/index';
import { treeOf } from './derived';
import { decimals } from './format';
import { Menu } from './menu';
import { DEFAULT_FILTERS, type ColorMode, type Patch, type State, type ViewProps, defaultScope } from './state';

const COLLAPSE = [
	['library', 'Library code'],
	['custom', 'Custom patterns'],
	['off', 'Nothing'],
] as const;

export function OptionsMenu(props: ViewProps) {
	return (
		<Menu label="View options ▾" name="View options" role="dialog">
			{() => <Options {...props} />}
		</Menu>
	);
}

function Options({ profile, state, set }: ViewProps) {
	const { filters, scope } = state;
	const change = (patch: Partial<State['filters']>) => set({ filters: { ...filters, ...patch } });
	const check = (name: 'importlib' | 'tracebackhide' | 'profiler' | 'selfRows' | 'mergeLines' | 'mergeRecursion', text: string) => (
		<label>
			<input type="checkbox" checked={filters[name]} onChange={(event) => change({ [name]: event.currentTarget.checked })} />
			{text}
		</label>
	);
	const error = filters.collapse === 'custom' ? treeOf(profile, scope, filters).error : undefined;
	const pattern = (name: 'hide' | 'show', text: string) => (
		<label>
			<span>{text}</span>
			<input
				type="text"
				class="mono"
				value={filters[name]}
				placeholder="regular expression"
				aria-invalid={error !== undefined}
				onChange={(event) => change({ [name]: event.currentTarget.value })}
			/>
		</label>
	);
	const digits = decimals(profile.meta.interval_us);
	const bound = (at: 0 | 1, text: string) => (
		<label>
			<span>{text}</span>
			<input
				type="number"
				min={0}
				step="any"
				value={scope.range ? scope.range[at].toFixed(digits) : ''}
				placeholder={at ? 'end' : '0'}
				onChange={(event) => {
					const value = parseFloat(event.currentTarget.value);
					const range: [number, number] = [scope.range?.[0] ?? 0, scope.range?.[1] ?? profile.meta.duration];
					range[at] = Number.isFinite(value) ? value : at ? profile.meta.duration : 0;
					set({ scope: { ...scope, range: range[0] < range[1] ? range : null } });
				}}
			/>
			s
		</label>
	);
	return (
		<div>
			<fieldset>
				<legend>Collapse frames</legend>
				{COLLAPSE.map(([value, text]) => (
					<label key={value}>
						<input type="radio" name="collapse" checked={filters.collapse === value} onChange={() => change({ collapse: value })} />
						{text}
					</label>
				))}
				{filters.collapse === 'custom' && (
					<>
						{pattern('hide', 'Hide')}
						{pattern('show', 'Show')}
						{error && <p class="warn">{error}</p>}
					</>
				)}
			</fieldset>
			<fieldset>
				<legend>Remove frames</legend>
				{check('importlib', 'Import machinery')}
				{check('tracebackhide', 'Frames with __tracebackhide__')}
				{check('profiler', "The profiler's own")}
				<label>
					<span>Below</span>
					<input
						type="number"
						min={0}
						max={99}
						step="any"
						value={+(filters.threshold * 100).toFixed(4)}
						onChange={(event) => {
							const value = parseFloat(event.currentTarget.value);
							if (value >= 0 && value < 100) change({ threshold: value / 100 });
						}}
					/>
					% of the total
				</label>
			</fieldset>
			<fieldset>
				<legend>Rows</legend>
				{check('mergeLines', 'Merge the lines of a function')}
				{check('mergeRecursion', 'Merge recursion')}
				{check('selfRows', 'Show [self] rows')}
			</fieldset>
			<fieldset>
				<legend>Time range</legend>
				{bound(0, 'From')}
				{bound(1, 'To')}
			</fieldset>
			<fieldset>
				<legend>Colours of boxes</legend>
				<select value={state.color} onChange={(event) => set({ color: event.currentTarget.value as ColorMode })}>
					<option value="kind">Kind of code</option>
					<option value="module">Module</option>
					<option value="share">Share of time</option>
					{profile.base && <option value="diff">Difference</option>}
				</select>
			</fieldset>
			<button onClick={() => set({ filters: DEFAULT_FILTERS })}>Defaults</button>
		</div>
	);
}

export interface Chip {
	text: string;
	clear: Patch;
}

/** Every active filter with what undoes it: hidden state is the main cause of wrong conclusions. */
export function chipsOf(profile: Profile, state: State): Chip[] {
	const out: Chip[] = [];
	const { filters, scope } = state;
	const filter = (text: string, patch: Partial<State['filters']>) => out.push({ text, clear: { filters: { ...filters, ...patch } } });
	const digits = Math.min(3, decimals(profile.meta.interval_us));
	if (scope.range) out.push({ text: `${scope.range[0].toFixed(digits)}–${scope.range[1].toFixed(digits)} s`, clear: { scope: { ...scope, range: null } } });
	const normal = defaultScope(profile);
	if (scope.threads.join() !== normal.threads.join()) {
		out.push({ text: `${scope.threads.length} of ${profile.threads.length} threads`, clear: { scope: { ...scope, threads: normal.threads } } });
	}
	if (scope.base) out.push({ text: 'base session', clear: { scope: { ...scope, base: false } } });
	if (filters.focusNode !== null) filter(`subtree of ${label(profile, profile.nodes.func[filters.focusNode])}`, { focusNode: null });
	if (filters.focusFunc !== null) filter(`${filters.invert ? 'callers of' : 'only'} ${label(profile, filters.focusFunc)}`, { focusFunc: null, invert: false });
	else if (filters.invert) filter('callers (inverted)', { invert: false });
	if (filters.match) filter(`${filters.match.mode === 'only' ? 'matches' : 'without'} ${filters.match.query}`, { match: null });
	if (filters.hiddenFuncs.length) filter(filters.hiddenFuncs.length === 1 ? `hides ${label(profile, filters.hiddenFuncs[0])}` : `hides ${filters.hiddenFuncs.length} functions`, { hiddenFuncs: [] });
	if (filters.hiddenModules.length) filter(`hides module ${filters.hiddenModules.slice(0, 3).join(', ')}`, { hiddenModules: [] });
	if (filters.collapse === 'custom') filter('custom patterns', { collapse: 'library' });
	if (filters.collapse === 'off') filter('library code shown', { collapse: 'library' });
	if (!filters.importlib) filter('imports shown', { importlib: true });
	if (!filters.tracebackhide) filter('__tracebackhide__ shown', { tracebackhide: true });
	if (!filters.profiler) filter('profiler shown', { profiler: true });
	if (filters.threshold !== DEFAULT_FILTERS.threshold) filter(filters.threshold > 0 ? `below ${+(filters.threshold * 100).toFixed(3)} % removed` : 'no smallest share', { threshold: DEFAULT_FILTERS.threshold });
	if (!filters.selfRows) filter('[self] rows hidden', { selfRows: true });
	if (!filters.mergeLines) filter('lines apart', { mergeLines: true });
	if (filters.mergeRecursion) filter('recursion merged', { mergeRecursion: false });
	return out;
}
