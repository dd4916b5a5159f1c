// SPDX-License-Identifier: BSD-3-Clause
// The timeline: what each thread did, and when. A stretch chosen on the ruler is the time range of all
// views; the drawing is lanes.ts.
import { useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { timelineIndex } from '../model/index';
import type { Profile, Thread, TimelineIndex } from '../model/types';
import { foundOf, span } from '../ui/derived';
import { lend, type ViewProps } from '../ui/state';
import { Lanes } from './lanes';

const built = new WeakMap<Thread, TimelineIndex>();

function indexFor(profile: Profile, thread: Thread): TimelineIndex {
	let index = built.get(thread);
	if (!index) {
		built.set(thread, (index = timelineIndex(profile, thread)));
	}
	return index;
}

export function TimelineView({ profile, state, set }: ViewProps) {
	const host = useRef<HTMLDivElement>(null);
	const lanes = useRef<Lanes | null>(null);
	const live = useRef({ state, set });
	live.current = { state, set };
	const [rows, setRows] = useState(state.scope.threads.length > 1 ? 16 : 1_000_000);
	const source = state.scope.base && profile.base ? profile.base : profile.threads;
	const threads = useMemo(() => {
		const chosen = state.scope.threads.map((at) => source[at]).filter(Boolean);
		return chosen.sort((a, b) => a.process - b.process);
	}, [source, state.scope.threads]);
	const whole = useMemo(() => span(profile), [profile]);
	const found = foundOf(profile, state.search);
	const match = found && !found.empty ? found.funcs : null;
	const selected = useMemo(
		() => (state.selection ? { func: state.selection.func, node: state.selection.node } : null),
		[state.selection],
	);

	useLayoutEffect(() => {
		const drawing = new Lanes(host.current as HTMLElement, (thread) => indexFor(profile, thread), {
			range: (range) => live.current.set({ scope: { ...live.current.state.scope, range } }),
			select: (func, node) => live.current.set({ selection: { func, node, row: -1 } }),
		});
		lanes.current = drawing;
		const giveBack = lend({
			keys: (event) => drawing.key(event),
			step: (direction) => drawing.step(direction),
			canvas: () => drawing.surface.canvas,
			focus: () => drawing.focus(),
		});
		return () => {
			giveBack();
			drawing.destroy();
		};
	}, [profile]);

	useLayoutEffect(() => {
		lanes.current?.set({ profile, threads, processes: profile.processes.length > 1, span: whole, range: state.scope.range, rows, match, selected });
	}, [profile, threads, whole, state.scope.range, rows, match, selected]);

	return (
		<section class="view" aria-label="Timeline">
			<div class="view-bar">
				<label>
					Rows per thread
					<select value={String(rows)} onChange={(event) => setRows(Number(event.currentTarget.value))}>
						<option value="4">4</option>
						<option value="16">16</option>
						<option value="1000000">all</option>
					</select>
				</label>
				<span class="muted">Drag on the ruler: all views show only that time.</span>
				{state.scope.range && (
					<button onClick={() => set({ scope: { ...state.scope, range: null } })}>
						Clear {state.scope.range[0].toFixed(3)}–{state.scope.range[1].toFixed(3)} s
					</button>
				)}
				{profile.meta.has_states && (
					<ul class="legend" aria-label="Thread states">
						<li>
							<span class="swatch swatch-state-1" />
							on CPU
						</li>
						<li>
							<span class="swatch swatch-state-2" />
							waiting
						</li>
						<li>
							<span class="swatch swatch-state-3" />
							GIL wait
						</li>
					</ul>
				)}
			</div>
			<div class="lane-host" ref={host} />
		</section>
	);
}
