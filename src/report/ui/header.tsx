// SPDX-License-Identifier: BSD-3-Clause
// What was recorded, whether it can be trusted, and the verdict: computing, waiting, or held up.
import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { ComponentChildren } from 'preact';
import type { Profile, Scope, Thread } from '../model/index';
import { type States, statesOf } from './derived';
import { decimals, duration, integer, percent, plural, wholePercent } from './format';
import type { State } from './state';

/** One line of text with a button that shows it all, when it does not fit. */
function Command({ text }: { text: string }) {
	const [all, setAll] = useState(false);
	const [long, setLong] = useState(false);
	const ref = useRef<HTMLElement>(null);
	useLayoutEffect(() => {
		const check = () => ref.current && setLong(all || ref.current.scrollWidth > ref.current.clientWidth);
		check();
		window.addEventListener('resize', check);
		return () => window.removeEventListener('resize', check);
	}, [text, all]);
	return (
		<div class={`command${all ? ' all' : ''}`}>
			<code ref={ref}>{text}</code>
			{long && (
				<button class="link" aria-expanded={all} onClick={() => setAll(!all)}>
					{all ? 'less' : 'show all'}
				</button>
			)}
		</div>
	);
}

const samplesOf = (thread: Thread): number => thread.count.reduce((sum, each) => sum + each, 0);

/** What limits the trust in the figures; each says how much, never just that. */
export function trust(profile: Profile): { text: string; warn: boolean }[] {
	const { meta } = profile;
	const out: { text: string; warn: boolean }[] = [];
	if (meta.missed > 0) {
		// What is missed are instants, at which every thread would have been sampled.
		const taken = profile.threads.reduce((most, thread) => Math.max(most, samplesOf(thread)), 0);
		const share = meta.missed / Math.max(1, taken + meta.missed);
		out.push({ text: `${plural(meta.missed, 'sample')} missed (${percent(share)})`, warn: share > 0.01 });
	}
	if (meta.lost > 0) {
		const share = meta.lost / Math.max(1, meta.samples + meta.lost);
		out.push({ text: `${plural(meta.lost, 'stack')} could not be read (${percent(share)})`, warn: share > 0.01 });
	}
	if (meta.truncated > 0) out.push({ text: `${plural(meta.truncated, 'stack')} truncated`, warn: true });
	if (meta.unobserved > 0) {
		const share = meta.unobserved / Math.max(meta.duration, 1e-9);
		out.push({ text: `${duration(meta.unobserved)} not observed (${percent(share)})`, warn: share > 0.01 });
	}
	if (meta.samples > 0 && meta.samples < 20) out.push({ text: `only ${plural(meta.samples, 'sample')}: all shares are rough`, warn: true });
	return out;
}

/** "1 ms", "100 µs", "10 ms" */
function interval(us: number): string {
	return us >= 1e6 ? `${us / 1e6} s` : us >= 1000 ? `${+(us / 1000).toFixed(3)} ms` : `${us} µs`;
}

export function started(profile: Profile): string {
	const when = new Date(profile.meta.start * 1000);
	if (!(profile.meta.start > 0) || Number.isNaN(when.getTime())) return '';
	const two = (value: number) => String(value).padStart(2, '0');
	return `${when.getFullYear()}-${two(when.getMonth() + 1)}-${two(when.getDate())} ${two(when.getHours())}:${two(when.getMinutes())}:${two(when.getSeconds())}`;
}

export function facts(profile: Profile): ComponentChildren[] {
	const { meta } = profile;
	const cpu = meta.duration > 0 ? meta.cpu_time / meta.duration : 0;
	const out: ComponentChildren[] = [
		<b title="Duration of the recording">{meta.duration.toFixed(meta.duration < 10 ? Math.min(3, decimals(meta.interval_us)) : 1)} s</b>,
		<span>{plural(meta.samples, 'sample')}</span>,
	];
	if (meta.interval_us > 0) out.push(<span title="Sampling interval">every {interval(meta.interval_us)}</span>);
	out.push(<span title={`${meta.cpu_time.toFixed(3)} s of CPU time in ${meta.duration.toFixed(3)} s`}>CPU {wholePercent(cpu)}</span>);
	if (meta.python) out.push(<span>Python {meta.python}</span>);
	const when = started(profile);
	if (when) out.push(<span title="When the recording started, in this browser's time zone">{when}</span>);
	if (meta.source !== 'none') out.push(<span class="warn">contains source code</span>);
	return out;
}

export interface Part {
	name: string;
	time: number;
	color: number;
}

export function partsOf(states: States): Part[] {
	const parts = [
		{ name: 'on CPU', time: states.running, color: 1 },
		{ name: 'waiting', time: states.waiting, color: 2 },
		{ name: 'GIL wait', time: states.gil, color: 3 },
		{ name: 'state unknown', time: states.unknown, color: 0 },
	];
	return parts.filter((part) => part.time > 0).sort((a, b) => b.time - a.time);
}

const partsByClock = (cpu: number, total: number): Part[] => [
	{ name: 'on CPU', time: cpu, color: 1 },
	{ name: 'not on CPU: waiting, or held up by the GIL', time: total - cpu, color: 2 },
];

const unknownStates = (profile: Profile, states: States): boolean => !profile.meta.has_states || states.unknown > 0.5 * states.total;

/** Without states: how long the scope's threads computed by their own clocks, or the process by its; -1 unknown. */
export function clocked(profile: Profile, scope: Scope, states: States): number {
	if (scope.range || scope.base || !unknownStates(profile, states)) return -1;
	let cpu = 0;
	for (const index of scope.threads) cpu += profile.threads[index]?.cpu ?? 0;
	if (!(cpu > 0)) cpu = profile.meta.cpu_time;
	return cpu > 0 ? Math.min(cpu, states.total) : -1;
}

/** The answer in words. */
export function verdict(profile: Profile, scope: Scope, states: States): string {
	if (!profile.meta.samples || states.total <= 0) return 'Nothing was sampled.';
	const share = (value: number) => value / states.total;
	if (unknownStates(profile, states)) {
		const cpu = clocked(profile, scope, states);
		if (cpu < 0) return 'Whether threads computed or waited is not known here.';
		return share(cpu) >= 0.6 ? 'Mostly computing.' : share(cpu) <= 0.4 ? 'Mostly waiting, not computing.' : 'Computing and waiting in turn.';
	}
	const running = share(states.running);
	const waiting = share(states.waiting);
	const gil = share(states.gil);
	if (gil >= 0.25) return `Held up by the GIL: threads wait for it ${wholePercent(gil)} of their time.`;
	if (waiting >= 0.6) return `Mostly waiting, not computing.`;
	if (running >= 0.6) return `Mostly computing.`;
	return 'Computing and waiting in turn.';
}

interface HeaderProps {
	profile: Profile;
	state: State;
	children: ComponentChildren; // search, menus
}

export function Header({ profile, state, children }: HeaderProps) {
	const { meta } = profile;
	const states = statesOf(profile, state.scope);
	const cpu = clocked(profile, state.scope, states);
	const byClock = cpu >= 0 && states.total > 0;
	const parts = byClock ? partsByClock(cpu, states.total) : partsOf(states);
	const shown = byClock || (meta.has_states && states.total > 0);
	const problems = trust(profile);
	const narrowed = state.scope.range !== null;
	return (
		<header class="top">
			<div class="top-row">
				<h1 class="cut" title={meta.program}>{meta.program || meta.title}</h1>
				<ul class="facts">
					{facts(profile).map((fact, index) => (
						<li key={index}>{fact}</li>
					))}
				</ul>
				<div class="tools">{children}</div>
			</div>
			{meta.command && meta.command !== meta.program && meta.command !== `Program: ${meta.program}` && <Command text={meta.command} />}
			<div class="verdict">
				<strong>{verdict(profile, state.scope, states)}</strong>
				{shown && (
					<div class="states" aria-hidden="true">
						{parts.map((part) => (
							<span key={part.name} class={part.color === 2 ? 'waiting' : ''} style={{ width: `${(100 * part.time) / states.total}%`, backgroundColor: `var(--state-${part.color})` }} />
						))}
					</div>
				)}
				{shown && (
					<ul class="legend" title={byClock ? "By the threads' CPU clocks: states were not recorded" : undefined}>
						{parts.map((part) => (
							<li key={part.name} title={`${part.time.toFixed(3)} s of thread time${narrowed ? ' in the chosen range' : ''}`}>
								<span class="swatch" style={{ backgroundColor: `var(--state-${part.color})` }} />
								{part.name} <b>{wholePercent(part.time / states.total)}</b>
							</li>
						))}
					</ul>
				)}
				<span class={problems.some((problem) => problem.warn) ? 'warn' : 'muted'}>
					{problems.length ? problems.map((problem) => problem.text).join(' · ') : meta.samples ? 'no sample missed' : ''}
				</span>
			</div>
			{meta.diff && (
				<p class="notes">
					Compared with {meta.diff.program}: {meta.diff.duration.toFixed(3)} s, {integer(meta.diff.samples)} samples;{' '}
					{meta.diff.mode === 'share' ? 'shares of the samples are compared' : 'absolute times are compared'}.
				</p>
			)}
			<Notes notes={meta.notes} />
		</header>
	);
}

function Notes({ notes }: { notes: string[] }) {
	if (!notes.length) return null;
	if (notes.length === 1) return <p class="notes muted cut" title={notes[0]}>{notes[0]}</p>;
	return (
		<details class="notes muted">
			<summary class="cut">
				{notes.length} notes: {notes[0]}
			</summary>
			<ul>
				{notes.slice(0, 50).map((note, index) => (
					<li key={index}>{note}</li>
				))}
				{notes.length > 50 && <li>… and {notes.length - 50} more</li>}
			</ul>
		</details>
	);
}
