// SPDX-License-Identifier: BSD-3-Clause
// The search box: every keystroke answers with what matches and how much time it is.
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { RefObject } from 'preact';
import { matches } from '../model/index';
import { foundOf, treeOf } from './derived';
import { percent, plural } from './format';
import { type ViewProps, activeView } from './state';

export function Search({ profile, state, set, input }: ViewProps & { input: RefObject<HTMLInputElement | null> }) {
	const [draft, setDraft] = useState(state.search);
	const pending = useRef(0);
	useEffect(() => {
		if (document.activeElement !== input.current || !state.search) setDraft(state.search);
	}, [state.search]);
	const found = foundOf(profile, state.search);
	const tree = treeOf(profile, state.scope, state.filters);
	const result = useMemo(() => (found && !found.empty ? matches(tree, found) : null), [found, tree]);
	const type = (text: string) => {
		setDraft(text);
		// Keys that come faster than frames are answered together.
		cancelAnimationFrame(pending.current);
		pending.current = requestAnimationFrame(() => set({ search: text }));
	};
	const onKey = (event: KeyboardEvent) => {
		if (event.key === 'Enter') {
			event.preventDefault();
			if (draft !== state.search) set({ search: draft });
			activeView().step?.(event.shiftKey ? -1 : 1);
		} else if (event.key === 'Escape') {
			event.preventDefault();
			event.stopPropagation();
			setDraft('');
			set({ search: '' });
			input.current?.blur();
			activeView().focus?.();
		}
	};
	const filter = (mode: 'only' | 'exclude') => set({ filters: { ...state.filters, match: { query: state.search, mode } }, search: '' });
	const error = found?.error;
	return (
		<div class="search" role="search">
			<input
				ref={input}
				type="search"
				value={draft}
				placeholder="/  Search"
				aria-label="Search functions"
				aria-invalid={error !== undefined}
				aria-describedby="found"
				spellcheck={false}
				autocomplete="off"
				title="Text, re:…, file:…, mod:…, >5%, self>10ms; space is and, | is or"
				onInput={(event) => type(event.currentTarget.value)}
				onKeyDown={onKey}
			/>
			<div class="found" hidden={!error && !result}>
			<span id="found" class={error ? 'warn' : 'muted'} role="status" aria-live="polite">
				{error ? error : result ? (result.nodes ? `${plural(result.functions, 'function')}, ${plural(result.nodes, 'node')}, ${percent(result.share)} of time` : 'no match') : ''}
			</span>
			{result !== null && result.nodes > 0 && !error && (
				<>
					<button title="Keep only stacks that contain a match" onClick={() => filter('only')}>
						Filter
					</button>
					<button title="Leave out stacks that contain a match" onClick={() => filter('exclude')}>
						Exclude
					</button>
				</>
			)}
			</div>
		</div>
	);
}
