// SPDX-License-Identifier: BSD-3-Clause
// Which of the reader's own functions cost most, waiting left out: idle time never passes for work.
import { FLAG, type Profile, label, location } from '../model/index';
import { hotOf } from './derived';
import { duration, percent, time, wholePercent } from './format';
import type { State, ViewProps } from './state';

const SHOWN = 5;

export function hotTitle(profile: Profile, state: State): string {
	const { functions } = hotOf(profile, state.scope);
	const own = functions.length > 0 && functions.slice(0, SHOWN).every((row) => profile.funcs.flags[row.func] & FLAG.APP);
	return own ? 'Your hottest functions' : 'Hottest functions';
}

export function waitingText(profile: Profile, state: State): string {
	const { waiting } = hotOf(profile, state.scope);
	if (!waiting || waiting.total <= 0) return '';
	const where = waiting.func >= 0 ? location(profile, waiting.func, waiting.line) : '';
	const most = waiting.func >= 0 ? `, mostly in ${label(profile, waiting.func)}${where ? ` (${where})` : ''}` : '';
	return `Waiting: ${duration(waiting.total)}${most}${waiting.func >= 0 && waiting.share < 0.995 ? `, ${wholePercent(waiting.share)}` : ''}`;
}

export function HotList({ profile, state, set }: ViewProps) {
	const { functions, waiting, totalTime } = hotOf(profile, state.scope);
	const rows = functions.slice(0, SHOWN);
	const most = rows.length ? rows[0].self : 0;
	const unit = state.unit === 'parent' || state.unit === 'pct' ? 's' : state.unit;
	const waits = waitingText(profile, state);
	return (
		<section class="hot" aria-label={hotTitle(profile, state)}>
			<h2>
				{hotTitle(profile, state)} <span class="muted">self time{profile.meta.has_states ? ', waiting left out' : ''}</span>
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
								<span class="bar" style={{ width: `${most > 0 ? (100 * row.self) / most : 0}%` }} />
							</span>
							<span class="num">{time(profile, unit, row.self, row.count, totalTime, totalTime)}</span>
							<span class="num muted">{percent(totalTime > 0 ? row.self / totalTime : 0)}</span>
							<span class="name cut">{label(profile, row.func)}</span>
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
