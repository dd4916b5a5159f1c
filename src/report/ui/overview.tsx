// SPDX-License-Identifier: BSD-3-Clause
// One strip per thread: how busy it was over time. Dragging chooses the time range of all views.
import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { Thread } from '../model/index';
import { span } from './derived';
import { decimals } from './format';
import type { ViewProps } from './state';

const LANE = 20;
const LABEL = 110;

/** Seconds per state (unknown, running, waiting, GIL) in each of `columns` equal slices. */
export function slices(thread: Thread, from: number, to: number, columns: number): Float64Array {
	const out = new Float64Array(columns * 4);
	const width = (to - from) / columns;
	if (!(width > 0)) return out;
	for (let run = 0; run < thread.runs; run++) {
		const state = thread.state ? thread.state[run] & 3 : 0;
		let begin = thread.begin[run];
		const end = begin + thread.dur[run];
		let column = Math.max(0, Math.floor((begin - from) / width));
		begin = Math.max(begin, from);
		while (column < columns && begin < end) {
			const edge = Math.min(end, from + (column + 1) * width);
			if (edge > begin) out[column * 4 + state] += edge - begin;
			begin = Math.max(begin, edge);
			column++;
		}
	}
	return out;
}

const cache = new WeakMap<Thread, { key: string; data: Float64Array }>();
export function laneOf(thread: Thread, from: number, to: number, columns: number): Float64Array {
	const key = `${from} ${to} ${columns}`;
	let kept = cache.get(thread);
	if (kept?.key !== key) cache.set(thread, (kept = { key, data: slices(thread, from, to, columns) }));
	return kept.data;
}

export function paintLane(context: CanvasRenderingContext2D, data: Float64Array, left: number, top: number, columns: number, height: number, width: number, colors: string[]): void {
	// Bottom up: what computes, what is held up, what is not known; waiting is a low grey line.
	for (const state of [2, 1, 3, 0]) {
		context.fillStyle = colors[state];
		context.beginPath();
		for (let column = 0; column < columns; column++) {
			const at = column * 4;
			const share = data[at + state] / width;
			if (share <= 0) continue;
			let below = 0;
			if (state === 3) below = data[at + 1] / width;
			if (state === 0) below = (data[at + 1] + data[at + 3]) / width;
			const tall = state === 2 ? Math.min(3, height) * Math.min(1, share) : Math.max(1, Math.min(1, share) * height);
			const y = state === 2 ? top + height - tall : top + height - Math.min(1, below) * height - tall;
			context.rect(left + column, y, 1, tall);
		}
		context.fill();
	}
}

export function stateColors(): string[] {
	const style = getComputedStyle(document.documentElement);
	return [0, 1, 2, 3].map((state) => style.getPropertyValue(`--state-${state}`).trim());
}

export function threadName(thread: Thread): string {
	return thread.name || `thread ${thread.tid || thread.ident}`;
}

export function Overview({ profile, state, set }: ViewProps) {
	const box = useRef<HTMLDivElement>(null);
	const canvas = useRef<HTMLCanvasElement>(null);
	const [drag, setDrag] = useState<[number, number] | null>(null);
	const [width, setWidth] = useState(0);
	const [scroll, setScroll] = useState(0);
	const [from, to] = span(profile);
	// The chosen threads first, as the other views show them.
	const chosen = new Set(state.scope.threads);
	const order = [...state.scope.threads, ...profile.threads.map((_, index) => index).filter((index) => !chosen.has(index))];
	const several = new Set(order.map((index) => profile.threads[index].process)).size > 1;
	const seen = Math.min(width < 420 ? 3 : 6, order.length);
	const label = width < 420 ? 72 : LABEL;
	const columns = Math.max(1, Math.floor(width - label - 4));

	useLayoutEffect(() => {
		const element = box.current!;
		const measure = () => setWidth(element.clientWidth);
		measure();
		const observer = new ResizeObserver(measure);
		observer.observe(element);
		return () => observer.disconnect();
	}, []);

	useLayoutEffect(() => {
		const element = canvas.current;
		const context = element?.getContext('2d');
		if (!element || !context || width <= 0) return;
		const ratio = devicePixelRatio || 1;
		const height = seen * LANE;
		element.width = Math.round(width * ratio);
		element.height = Math.round(height * ratio);
		element.style.width = `${width}px`;
		element.style.height = `${height}px`;
		context.setTransform(ratio, 0, 0, ratio, 0, 0);
		const style = getComputedStyle(document.documentElement);
		const color = (name: string) => style.getPropertyValue(name).trim();
		const colors = stateColors();
		context.clearRect(0, 0, width, height);
		context.font = `12px ${color('--ui')}`;
		context.textBaseline = 'middle';
		const first = Math.floor(scroll / LANE);
		for (let lane = first; lane < Math.min(order.length, first + seen + 1); lane++) {
			const thread = profile.threads[order[lane]];
			const top = lane * LANE - scroll;
			const inScope = chosen.has(order[lane]);
			context.fillStyle = color(inScope ? '--text' : '--muted');
			context.save();
			context.beginPath();
			context.rect(0, top, label - 6, LANE);
			context.clip();
			const name = threadName(thread);
			context.fillText(several ? `${profile.processes[thread.process]?.pid ?? ''} ${name}` : name, 0, top + LANE / 2);
			context.restore();
			context.globalAlpha = inScope ? 1 : 0.45;
			context.fillStyle = color('--raised');
			context.fillRect(label, top + 2, columns, LANE - 4);
			paintLane(context, laneOf(thread, from, to, columns), label, top + 2, columns, LANE - 4, (to - from) / columns, colors);
			context.globalAlpha = 1;
		}
		const range = drag ?? state.scope.range;
		if (range) {
			const x = (time: number) => label + ((time - from) / (to - from)) * columns;
			const left = Math.max(label, x(Math.min(...range)));
			const right = Math.min(label + columns, x(Math.max(...range)));
			context.fillStyle = color('--bg');
			context.globalAlpha = 0.65;
			context.fillRect(label, 0, left - label, height);
			context.fillRect(right, 0, label + columns - right, height);
			context.globalAlpha = 1;
			context.strokeStyle = color('--accent');
			context.lineWidth = 2;
			context.strokeRect(left, 1, Math.max(2, right - left), height - 2);
		}
	});

	const timeAt = (event: PointerEvent): number => {
		const left = canvas.current!.getBoundingClientRect().left;
		return from + Math.max(0, Math.min(1, (event.clientX - left - label) / columns)) * (to - from);
	};
	const down = (event: PointerEvent) => {
		if (event.button !== 0) return;
		const x = event.clientX - canvas.current!.getBoundingClientRect().left;
		if (x < label) {
			const lane = order[Math.floor((event.clientY - canvas.current!.getBoundingClientRect().top + scroll) / LANE)];
			if (lane !== undefined) {
				const alone = state.scope.threads.length === 1 && state.scope.threads[0] === lane;
				const rest = profile.threads.map((_, index) => index).filter((index) => !profile.threads[index].idle);
				set({ scope: { ...state.scope, threads: alone && rest.length ? rest : [lane] } });
			}
			return;
		}
		canvas.current!.setPointerCapture(event.pointerId);
		const time = timeAt(event);
		setDrag([time, time]);
	};
	const move = (event: PointerEvent) => {
		if (drag) setDrag([drag[0], timeAt(event)]);
	};
	const up = () => {
		if (!drag) return;
		const [a, b] = [Math.min(...drag), Math.max(...drag)];
		setDrag(null);
		const wide = ((b - a) / (to - from)) * columns >= 3;
		if (wide || state.scope.range) set({ scope: { ...state.scope, range: wide ? [a, b] : null } });
	};
	const digits = Math.min(3, decimals(profile.meta.interval_us));
	const range = drag ? [Math.min(...drag), Math.max(...drag)] : state.scope.range;
	return (
		<section class="overview" aria-label="Threads over time">
			<h2>
				{order.length === 1 ? 'Over time' : `${order.length} threads over time`}{' '}
				<span class="muted cut">
					{range
						? `${range[0].toFixed(digits)} – ${range[1].toFixed(digits)} s (${(range[1] - range[0]).toFixed(digits)} s)`
						: `0 – ${to.toFixed(Math.min(2, digits))} s, drag to choose a part`}
				</span>
				{state.scope.range && (
					<button class="link" onClick={() => set({ scope: { ...state.scope, range: null } })}>
						all time
					</button>
				)}
			</h2>
			<div
				class="lanes"
				ref={box}
				tabIndex={order.length > seen ? 0 : undefined}
				role={order.length > seen ? 'group' : undefined}
				aria-label={order.length > seen ? 'Threads, scrolls' : undefined}
				style={{ height: `${seen * LANE}px` }}
				onScroll={(event) => setScroll((event.target as HTMLElement).scrollTop)}
			>
				<div style={{ height: `${order.length * LANE}px` }}>
					<canvas
						ref={canvas}
						role="img"
						aria-label={`Activity of ${order.length} threads; choose a time range here by dragging, or in View options`}
						title="Drag: choose a time range. Click a name: only this thread."
						onPointerDown={down}
						onPointerMove={move}
						onPointerUp={up}
						onPointerCancel={() => setDrag(null)}
					/>
				</div>
			</div>
		</section>
	);
}
