// SPDX-License-Identifier: BSD-3-Clause
// The selector of processes and threads: checkboxes, CPU share, a sparkline each; five hundred threads
// are no more elements than ten.
import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { Profile } from '../model/index';
import { span } from './derived';
import { integer, wholePercent } from './format';
import { Menu } from './menu';
import { laneOf, paintLane, stateColors, threadName } from './overview';
import { type State, type ViewProps, defaultScope } from './state';

const ROW = 28;
const SPARK = 72;

export function scopeText(profile: Profile, state: State): string {
	const { threads, merged, base } = state.scope;
	const session = base ? 'base, ' : '';
	if (threads.length === 1) return session + (profile.threads.length === 1 ? 'one thread' : threadName(profile.threads[threads[0]]));
	const busy = defaultScope(profile).threads.length;
	const all = threads.length === profile.threads.length ? 'all' : threads.length === busy ? `all but ${profile.threads.length - busy} idle` : `${threads.length} of ${profile.threads.length}`;
	return `${session}${all} threads${merged ? ', merged' : ''}`;
}

/** The next or previous thread alone; from the last one back to the default. */
export function nextThread(profile: Profile, state: State, direction: 1 | -1): State['scope'] {
	const choices = defaultScope(profile).threads;
	const { threads } = state.scope;
	const now = threads.length === 1 ? choices.indexOf(threads[0]) : direction > 0 ? -1 : choices.length;
	const next = now + direction;
	if (choices.length < 2) return state.scope;
	return { ...state.scope, threads: next < 0 || next >= choices.length ? choices : [choices[next]] };
}

function Spark({ profile, index, range }: { profile: Profile; index: number; range: [number, number] }) {
	const ref = useRef<HTMLCanvasElement>(null);
	useLayoutEffect(() => {
		const canvas = ref.current!;
		const context = canvas.getContext('2d');
		if (!context) return;
		canvas.width = SPARK;
		canvas.height = 20;
		const data = laneOf(profile.threads[index], range[0], range[1], SPARK);
		paintLane(context, data, 0, 0, SPARK, 20, (range[1] - range[0]) / SPARK, stateColors());
	});
	return <canvas ref={ref} aria-hidden="true" />;
}

export function ThreadMenu({ profile, state, set }: ViewProps) {
	return (
		<Menu label={`${scopeText(profile, state)} ▾`} name="Threads and processes" role="dialog">
			{() => <Threads profile={profile} state={state} set={set} />}
		</Menu>
	);
}

function Threads({ profile, state, set }: ViewProps) {
	const [top, setTop] = useState(0);
	const { scope } = state;
	const chosen = new Set(scope.threads);
	const all = profile.threads.map((_, index) => index);
	const several = profile.processes.length > 1;
	const rows: { process: number; thread: number }[] = [];
	if (several) {
		for (let process = 0; process < profile.processes.length; process++) {
			rows.push({ process, thread: -1 });
			for (const thread of all) if (profile.threads[thread].process === process) rows.push({ process, thread });
		}
		for (const thread of all) if (profile.threads[thread].process < 0) rows.push({ process: -1, thread });
	} else for (const thread of all) rows.push({ process: 0, thread });
	const choose = (threads: number[]) => threads.length && set({ scope: { ...scope, threads: [...threads].sort((a, b) => a - b) } });
	const toggle = (threads: number[], on: boolean) => choose(all.filter((index) => (threads.includes(index) ? on : chosen.has(index))));
	const first = Math.max(0, Math.floor(top / ROW) - 2);
	const range = span(profile);
	const cpuShare = (cpu: number) => wholePercent(profile.meta.duration > 0 ? cpu / profile.meta.duration : 0);
	return (
		<div>
			<div class="actions">
				<button aria-pressed={scope.merged && chosen.size === all.length} onClick={() => set({ scope: { ...scope, threads: all, merged: true } })}>
					All, merged
				</button>
				<button aria-pressed={!scope.merged && chosen.size === all.length} onClick={() => set({ scope: { ...scope, threads: all, merged: false } })}>
					All, side by side
				</button>
				<button onClick={() => set({ scope: { ...defaultScope(profile), range: scope.range, base: scope.base } })}>Without idle ones</button>
			</div>
			<div class="actions">
				<label>
					<input type="checkbox" checked={scope.merged} onChange={(event) => set({ scope: { ...scope, merged: event.currentTarget.checked } })} />
					Add the chosen threads up
				</label>
				{profile.base && (
					<label>
						<input type="checkbox" checked={scope.base} onChange={(event) => set({ scope: { ...scope, base: event.currentTarget.checked } })} />
						Show the base session
					</label>
				)}
			</div>
			<div class="threads" style={{ height: `${rows.length * ROW}px` }} onScroll={(event) => setTop(event.currentTarget.scrollTop)}>
				<div style={{ height: `${rows.length * ROW}px` }}>
					{rows.slice(first, first + 24).map(({ process, thread }, at) => {
						const style = { top: `${(first + at) * ROW}px` };
						if (thread < 0) {
							const owned = all.filter((index) => profile.threads[index].process === process);
							const { pid, command } = profile.processes[process];
							return (
								<div class="thread process" key={`p${process}`} style={style}>
									<label title={command}>
										<input type="checkbox" checked={owned.every((index) => chosen.has(index))} onChange={(event) => toggle(owned, event.currentTarget.checked)} />
										<span class="cut">
											{pid} {command}
										</span>
									</label>
								</div>
							);
						}
						const row = profile.threads[thread];
						return (
							<div class="thread" key={thread} style={style}>
								<label>
									<input
										type="checkbox"
										checked={chosen.has(thread)}
										disabled={chosen.size === 1 && chosen.has(thread)}
										onChange={(event) => toggle([thread], event.currentTarget.checked)}
									/>
									<span class="cut" title={`thread ${row.ident}`}>
										{threadName(row)} <span class="muted">{row.tid || ''}{row.idle ? ' idle' : ''}</span>
									</span>
								</label>
								<span class="muted num">{integer(row.samples)}</span>
								<span class="num" title="CPU">{cpuShare(row.cpu)}</span>
								<Spark profile={profile} index={thread} range={range} />
								<button class="link" onClick={() => choose([thread])}>
									only
								</button>
							</div>
						);
					})}
				</div>
			</div>
		</div>
	);
}
