// SPDX-License-Identifier: BSD-3-Clause
// Buttons that open something: menus with arrow keys, and panels. Only one is open at a time.
import { type ComponentChildren, Fragment } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';

/** Puts `panel` next to a rectangle, inside the window. */
export function place(panel: HTMLElement, at: { left: number; top: number; bottom: number }): void {
	const { width, height } = panel.getBoundingClientRect();
	const below = at.bottom + 2;
	const top = below + height <= innerHeight - 8 ? below : Math.max(8, Math.min(at.top - height - 2, innerHeight - height - 8));
	panel.style.left = `${Math.max(8, Math.min(at.left, innerWidth - width - 8))}px`;
	panel.style.top = `${top < 8 ? 8 : top}px`;
}

interface PanelProps {
	label: string;
	role?: 'menu' | 'dialog';
	at: () => { left: number; top: number; bottom: number };
	close: (refocus: boolean) => void;
	owner?: () => HTMLElement | null;
	children: ComponentChildren;
}

export function Panel({ label, role = 'dialog', at, close, owner, children }: PanelProps) {
	const ref = useRef<HTMLDivElement>(null);
	useLayoutEffect(() => {
		const panel = ref.current!;
		place(panel, at());
		const first = panel.querySelector<HTMLElement>('[aria-checked="true"], [role^="menuitem"]:not(:disabled), input, select, button');
		(role === 'menu' ? first : (first ?? panel))?.focus();
	}, []);
	useEffect(() => {
		const outside = (event: Event) => {
			const target = event.target as Node;
			if (!ref.current?.contains(target) && !owner?.()?.contains(target)) close(false);
		};
		const resized = () => ref.current && place(ref.current, at());
		document.addEventListener('pointerdown', outside, true);
		window.addEventListener('resize', resized);
		return () => {
			document.removeEventListener('pointerdown', outside, true);
			window.removeEventListener('resize', resized);
		};
	}, []);
	const onKey = (event: KeyboardEvent) => {
		if (event.key === 'Escape') {
			event.preventDefault();
			event.stopPropagation();
			close(true);
			return;
		}
		if (role !== 'menu') {
			if (event.key !== 'Tab') event.stopPropagation();
			return;
		}
		const items = [...ref.current!.querySelectorAll<HTMLElement>('[role^="menuitem"]:not(:disabled)')];
		const now = items.indexOf(document.activeElement as HTMLElement);
		const goes: Record<string, number> = { ArrowDown: now + 1, ArrowUp: now < 0 ? -1 : now - 1, Home: 0, End: items.length - 1 };
		if (event.key in goes && items.length) {
			event.preventDefault();
			items[(goes[event.key] + items.length) % items.length].focus();
		} else if (event.key === 'Tab') {
			close(true);
		}
		event.stopPropagation();
	};
	return (
		<div class="pop" ref={ref} role={role} aria-label={label} tabIndex={-1} onKeyDown={onKey}>
			{children}
		</div>
	);
}

interface MenuProps {
	label: ComponentChildren;
	name: string; // for screen readers and as the panel's label
	role?: 'menu' | 'dialog';
	plain?: boolean;
	class?: string;
	children: (close: () => void) => ComponentChildren;
}

/** A button with its panel. */
export function Menu({ label, name, role = 'menu', plain, children, ...rest }: MenuProps) {
	const [open, setOpen] = useState(false);
	const button = useRef<HTMLButtonElement>(null);
	const close = (refocus: boolean) => {
		setOpen(false);
		if (refocus) button.current?.focus();
	};
	return (
		<Fragment>
			<button
				ref={button}
				class={`${plain ? 'plain' : ''} ${rest.class ?? ''}`}
				aria-haspopup={role}
				aria-expanded={open}
				aria-label={name}
				title={name}
				onClick={() => setOpen(!open)}
			>
				{label}
			</button>
			{open && (
				<Panel
					label={name}
					role={role}
					at={() => button.current!.getBoundingClientRect()}
					owner={() => button.current}
					close={close}
				>
					{children(() => close(true))}
				</Panel>
			)}
		</Fragment>
	);
}

export interface Item {
	label: string;
	key?: string; // shown at the right: the key that does the same
	checked?: boolean;
	disabled?: boolean;
	run: () => void;
}

/** The rows of a menu; null draws a line. */
export function Items({ items, close }: { items: (Item | null)[]; close: () => void }) {
	return (
		<Fragment>
			{items.map((item, index) =>
				item ? (
					<button
						key={index}
						role={item.checked === undefined ? 'menuitem' : 'menuitemradio'}
						aria-checked={item.checked}
						tabIndex={-1}
						disabled={item.disabled}
						onClick={() => {
							close();
							item.run();
						}}
					>
						<span>
							{item.checked ? '✓ ' : ''}
							{item.label}
						</span>
						{item.key && <kbd class="muted">{item.key}</kbd>}
					</button>
				) : (
					<hr key={index} role="separator" />
				),
			)}
		</Fragment>
	);
}
