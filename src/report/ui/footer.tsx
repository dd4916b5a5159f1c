// SPDX-License-Identifier: BSD-3-Clause
// Where the reader is, and what is hidden from them.
import { type Profile, label } from '../model/index';
import { resetFilters } from './actions';
import { chipsOf } from './filters';
import type { State, ViewProps } from './state';
import { defaultScope } from './state';

const CRUMBS = 12;

/** Payload nodes from the outermost frame to the selected one. */
export function crumbsOf(profile: Profile, state: State): number[] {
	const out: number[] = [];
	const from = state.selection?.node ?? -1;
	for (let node = from; node >= 0 && node < profile.nodes.n; node = profile.nodes.parent[node]) out.push(node);
	return out.reverse();
}

export function Footer({ profile, state, set }: ViewProps) {
	const path = crumbsOf(profile, state);
	const skipped = Math.max(0, path.length - CRUMBS);
	const chips = chipsOf(profile, state);
	const func = state.selection?.func ?? -1;
	const { funcs, nodes } = profile;
	return (
		<footer>
			<nav class="grow" aria-label="Selected path">
				<ol class="crumbs">
					{skipped > 0 && <li class="muted">{skipped} more</li>}
					{path.slice(skipped).map((node) => (
						<li key={node}>
							<button class="link cut" title={`${funcs.label(nodes.func[node])}  ${funcs.location(nodes.func[node])}`} onClick={() => set({ selection: { func: nodes.func[node], node, row: -1 } })}>
								{funcs.label(nodes.func[node])}
							</button>
						</li>
					))}
					{!path.length && func >= 0 && (
						<li class="mono">
							{label(profile, func)} <span class="muted">everywhere</span>
						</li>
					)}
				</ol>
			</nav>
			{state.busy && <span class="warn">{state.busy}</span>}
			{state.notice && (
				<span class="cut" title={state.notice}>
					{state.notice}
				</span>
			)}
			<div class="chips">
				{chips.length > 0 && (
					<>
						<span class="muted">
							{chips.length} {chips.length === 1 ? 'filter' : 'filters'} on
						</span>
						{chips.slice(0, 4).map((chip) => (
							<button key={chip.text} class="cut" title={`Clear: ${chip.text}`} onClick={() => set(chip.clear)}>
								{chip.text} ✕
							</button>
						))}
						{chips.length > 4 && <span class="muted">+{chips.length - 4}</span>}
						<button onClick={() => set({ ...resetFilters(state), scope: defaultScope(profile) })}>Reset</button>
					</>
				)}
			</div>
		</footer>
	);
}
