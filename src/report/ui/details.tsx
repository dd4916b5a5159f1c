// SPDX-License-Identifier: BSD-3-Clause
// Everything about the selected function: its figures, its lines, who calls it and what it calls.
import { useMemo, useState } from 'preact/hooks';
import { FLAG, type LineRow, type Profile, type Scope, label, lines, location, path, sandwich } from '../model/index';
import { actionsOf, copy } from './actions';
import { rowOf } from './derived';
import { KIND_NAMES, integer, percent, time } from './format';
import { Items, Menu } from './menu';
import type { Selection, ViewProps } from './state';

type Tab = 'lines' | 'callers' | 'calls';
const SHOWN = 40;

interface Entry {
	func: number;
	node: number;
	line: number;
	total: number;
	self: number;
	count: number;
}

/** Direct callers or callees, heaviest first. */
function neighbours(profile: Profile, scope: Scope, func: number, which: 'callers' | 'callees'): Entry[] {
	const tree = sandwich(profile, scope, func)[which];
	const out: Entry[] = [];
	if (!tree.n) return out;
	for (let row = tree.first[0]; row >= 0; row = tree.next[row]) {
		if (tree.func[row] === profile.funcs.self) continue;
		out.push({ func: tree.func[row], node: tree.node[row], line: tree.line[row], total: tree.total[row], self: 0, count: tree.count[row] });
	}
	return out.sort((a, b) => b.total - a.total);
}

function linesOf(profile: Profile, scope: Scope, func: number): LineRow[] {
	const all = lines(profile, scope).get(func);
	return all ? [...all.values()].sort((a, b) => a.line - b.line) : [];
}

interface DetailsProps extends ViewProps {
	close: (() => void) | null; // the bottom sheet can be closed
}

export function Details({ profile, state, set, close }: DetailsProps) {
	const [tab, setTab] = useState<Tab>('lines');
	const { selection, scope } = state;
	const func = selection?.func ?? -1;
	const known = func >= 0 && func < profile.funcs.n;
	const entries = useMemo(
		() => (known && tab !== 'lines' ? neighbours(profile, scope, func, tab === 'callers' ? 'callers' : 'callees') : []),
		[profile, scope, func, tab],
	);
	const rows = useMemo(() => (known && tab === 'lines' ? linesOf(profile, scope, func) : []), [profile, scope, func, tab]);
	if (!selection || !known) {
		return (
			<aside aria-label="Details">
				<p class="muted">Select a function to see its lines, its callers and what it calls.</p>
				<Legend />
			</aside>
		);
	}
	const figures = rowOf(profile, state, selection as Selection);
	const kind = profile.funcs.kind[func];
	const target = { func, node: selection.node, line: selection.line ?? 0 };
	const show = (value: number, count: number) => time(profile, state.unit === 'pct' || state.unit === 'parent' ? 's' : state.unit, value, count, figures.whole, figures.whole);
	const share = (value: number) => percent(figures.whole > 0 ? value / figures.whole : 0);
	const where = location(profile, func, selection.line ?? 0);
	return (
		<aside aria-label="Details">
			<div class="top-row">
				<h2 class="grow">{label(profile, func)}</h2>
				{close && (
					<button class="plain" aria-label="Close details" onClick={close}>
						✕
					</button>
				)}
			</div>
			<p class="where" title={path(profile, func)}>
				{where || KIND_NAMES[kind]}
			</p>
			<p class="muted">
				<span class="swatch" style={{ backgroundColor: `var(--kind-${kind}-strong)` }} /> {profile.funcs.flags[func] & FLAG.APP ? 'your code' : KIND_NAMES[kind]}
			</p>
			<dl class="figures">
				<dt>total</dt>
				<dd class="num">{show(figures.total, figures.count)}</dd>
				<dd class="num">{share(figures.total)}</dd>
				<dt>self</dt>
				<dd class="num">{show(figures.self, figures.count)}</dd>
				<dd class="num">{share(figures.self)}</dd>
				{profile.meta.has_states && (
					<>
						<dt>on CPU</dt>
						<dd class="num">{show(figures.running, figures.count)}</dd>
						<dd class="num">{share(figures.running)}</dd>
						<dt>waiting</dt>
						<dd class="num">{show(figures.waiting, figures.count)}</dd>
						<dd class="num">{share(figures.waiting)}</dd>
						{figures.gil > 0 && (
							<>
								<dt>GIL wait</dt>
								<dd class="num">{show(figures.gil, figures.count)}</dd>
								<dd class="num">{share(figures.gil)}</dd>
							</>
						)}
					</>
				)}
				<dt>samples</dt>
				<dd class="num">
					{figures.count < 5 ? '~' : ''}
					{integer(figures.count)}
				</dd>
				<dd />
			</dl>
			<p class="muted">{figures.everywhere ? 'All places where it runs.' : 'In this place of the tree.'}</p>
			<div class="actions">
				<button onClick={() => set({ view: 'source' })}>Source</button>
				{where && <button onClick={() => void copy(where, 'the location', set)}>Copy file:line</button>}
				<Menu label="Actions ▾" name="Actions for this function">
					{(done) => <Items items={actionsOf(profile, state, set, target)} close={done} />}
				</Menu>
			</div>
			<div class="tabs-in" role="group" aria-label="Show">
				{(['lines', 'callers', 'calls'] as Tab[]).map((name) => (
					<button key={name} class="plain" aria-pressed={tab === name} onClick={() => setTab(name)}>
						{name === 'lines' ? 'Lines' : name === 'callers' ? 'Callers' : 'Calls'}
					</button>
				))}
			</div>
			{tab === 'lines' ? (
				<table class="mini">
					<thead>
						<tr>
							<th class="num">self</th>
							<th class="num">total</th>
							<th>line</th>
						</tr>
					</thead>
					<tbody>
						{rows.slice(0, SHOWN).map((row) => (
							<tr key={row.line}>
								<td class="num">{row.self > 0 ? show(row.self, row.count) : '·'}</td>
								<td class="num">{show(row.total, row.count)}</td>
								<td>
									<button class="link" onClick={() => set({ view: 'source', selection: { ...selection, line: row.line || undefined } })}>
										{row.line > 0 ? `line ${row.line}` : 'line unknown'}
									</button>
								</td>
							</tr>
						))}
					</tbody>
				</table>
			) : (
				<table class="mini">
					<thead>
						<tr>
							<th class="num">time</th>
							<th>{tab === 'callers' ? 'called by' : 'calls'}</th>
						</tr>
					</thead>
					<tbody>
						{entries.slice(0, SHOWN).map((entry) => (
							<tr key={`${entry.func} ${entry.line}`}>
								<td class="num">{show(entry.total, entry.count)}</td>
								<td>
									<button class="link" title={location(profile, entry.func)} onClick={() => set({ selection: { func: entry.func, node: -1, row: -1 } })}>
										{label(profile, entry.func)}
									</button>
								</td>
							</tr>
						))}
					</tbody>
				</table>
			)}
			{(tab === 'lines' ? rows.length : entries.length) === 0 && <p class="muted">{tab === 'callers' ? 'Nothing calls it: it is the outermost frame.' : tab === 'calls' ? 'It calls nothing that was seen.' : 'Its lines were not recorded.'}</p>}
			{(tab === 'lines' ? rows.length : entries.length) > SHOWN && <p class="muted">and {(tab === 'lines' ? rows.length : entries.length) - SHOWN} more; see {tab === 'lines' ? 'Source' : 'Functions'}</p>}
		</aside>
	);
}

function Legend() {
	return (
		<>
			<h3>Colours</h3>
			<ul>
				{KIND_NAMES.slice(0, 7).map((name, kind) => (
					<li key={kind}>
						<span class={`swatch${kind === 6 ? ' hatch' : ''}`} style={{ backgroundColor: `var(--kind-${kind}-strong)` }} /> {name}
					</li>
				))}
			</ul>
			<p class="muted">
				Press <kbd>?</kbd> for all keys.
			</p>
		</>
	);
}
