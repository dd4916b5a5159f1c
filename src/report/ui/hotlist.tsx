// SPDX-License-Identifier: BSD-3-Clause
// Which of the reader's own functions cost most, waiting left out: idle time never passes for work.
import { FLAG, type HotLine, KIND, type Profile, label, location } from '../model/index';
import { hotOf } from './derived';
import { duration, percent, time, wholePercent } from './format';
import type { State, ViewProps } from './state';

const SHOWN = 5;

const isOwn = (profile: Profile, row: HotLine) => (profile.funcs.flags[row.func] & FLAG.APP) !== 0;

/** The reader's own functions; places left over go to the libraries they call. */
export function hotRows(profile: Profile, state: State): { rows: HotLine[]; title: string } {
	const { functions, totalTime } = hotOf(profile, state.scope);
	const own = functions.filter((row) => isOwn(profile, row) && row.self >= 0.002 * totalTime).slice(0, SHOWN);
	const others = functions.filter((row) => !own.includes(row)).slice(0, SHOWN - own.length);
	const title = !own.length ? 'Hottest functions' : others.length ? 'Hottest functions, yours first' : 'Your hottest functions';
	return { rows: [...own, ...others], title };
}

export function waitingText(profile: Profile, state: State): string {
	const { waiting } = hotOf(profile, state.scope);
	if (!waiting || waiting.total <= 0) return '';
	const text = `Waiting: ${duration(waiting.total)}`;
	if (waiting.func < 0) return text;
	const { funcs, nodes } = profile;
	const where = funcs.kind[waiting.func] === KIND.NATIVE ? '' : location(profile, waiting.func, waiting.line);
	let most = `, ${waiting.share < 0.995 ? `${wholePercent(waiting.share)} of it` : 'all of it'} in ${label(profile, waiting.func)}${where ? ` ${where}` : ''}`;
	// A wait in a library says little: where the reader's own code went into it says more.
	let own = waiting.node;
	while (own >= 0 && !(funcs.flags[nodes.func[own]] & FLAG.APP)) own = nodes.parent[own];
	if (own >= 0 && nodes.func[own] !== waiting.func) most += `, from ${label(profile, nodes.func[own])} ${location(profile, nodes.func[own], nodes.line[own])}`;
	return text + most;
}

export function HotList({ profile, state, set }: ViewProps) {
	const { waiting, totalTime } = hotOf(profile, state.scope);
	const { rows, title } = hotRows(profile, state);
	const most = rows.reduce((sum, row) => Math.max(sum, row.self), 0);
	const unit = state.unit === 'parent' || state.unit === 'pct' ? 's' : state.unit;
	const waits = waitingText(profile, state);
	return (
		<section class="hot" aria-label={title}>
			<h2>
				{title} <span class="muted">self time{profile.meta.has_states || waits ? ', waiting left out' : ''}</span>
			</h2>
			{rows.length === 0 && <p class="muted">{waits ? 'No function computed: all time was spent waiting.' : 'No function took time.'}</p>}
			<ol>
				{rows.map((row, index) => (
					<li key={row.func}>
						<button
							title={`${label(profile, row.func)}\n${location(profile, row.func)}\n${Math.round(row.count)} samples; select it in the view`}
							aria-label={`${index + 1}. ${label(profile, row.func)}, self ${time(profile, 's', row.self, row.count, totalTime, totalTime)} seconds, ${percent(row.self / totalTime)}`}
							onClick={() => set({ selection: { func: row.func, node: row.node, row: -1 } })}
						>
							<span class="muted num">{index + 1}</span>
							<span>
								<span class="bar" style={{ width: `${most > 0 ? (100 * row.self) / most : 0}%`, backgroundColor: `var(--kind-${profile.funcs.kind[row.func]}-strong)` }} />
							</span>
							<span class="num">{time(profile, unit, row.self, row.count, totalTime, totalTime)}</span>
							<span class="num muted">{percent(totalTime > 0 ? row.self / totalTime : 0)}</span>
							<span class={`name cut${isOwn(profile, row) ? ' own' : ''}`}>{label(profile, row.func)}</span>
							<span class="muted mono cut">{location(profile, row.func)}</span>
						</button>
					</li>
				))}
			</ol>
			{waits && (
				<p class="waits">
					<button
						class="link cut"
						title={`${waits}; select it in the view`}
						onClick={() => waiting && waiting.func >= 0 && set({ selection: { func: waiting.func, node: waiting.node, row: -1 } })}
					>
						{waits}
					</button>
				</p>
			)}
		</section>
	);
}
