// SPDX-License-Identifier: GPL-2.0-or-later
// The desktop's clipboard (HTTP route /clipboard) and the browser's, kept alike where the browser
// lets a page do that: to the desktop when the page gets the focus or something is pasted, from it
// after a copy and when the page loses the focus.

const COPY_SETTLES_MS = 250; // the desktop's application takes a moment to copy
const PASTE_EVENT_MS = 300; // the browser gives the text at once, or not at all
const TEXT_MAX = 1 << 20;

export class Clipboard {
	#url;
	#enabled = false;
	#last = null; // text that both have, as far as we know
	#pasteWaiter = null;

	/** Called with a text for the user when something cannot be done. */
	onProblem = () => {};

	/**
	 * @param {string} url of the desktop's clipboard
	 * @param {HTMLElement} element that has the focus when keys go to the desktop
	 */
	constructor(url, element) {
		this.#url = url;
		document.addEventListener('paste', (e) => this.#handlePaste(e));
		element.addEventListener('focus', () => void this.#fromBrowser());
		window.addEventListener('focus', () => void this.#fromBrowser());
	}

	/** Whether this viewer may use it. */
	enable(enabled) {
		this.#enabled = enabled;
	}

	/** The desktop's text; null if it cannot be had. */
	async read() {
		try {
			const reply = await fetch(this.#url, { cache: 'no-store' });
			const content = reply.ok ? await reply.json() : null;
			return content?.type === 'text' && typeof content.data === 'string' ? content.data : null;
		} catch {
			return null;
		}
	}

	/** Gives the desktop a text. True if it took it. */
	async write(text) {
		if (text.length > TEXT_MAX) {
			this.onProblem('That is too much text for the clipboard.');
			return false;
		}
		try {
			const reply = await fetch(this.#url, {
				method: 'POST',
				headers: { 'Content-Type': 'application/json' },
				body: JSON.stringify({ type: 'text', data: text }),
			});
			if (reply.ok) {
				this.#last = text;
			}
			return reply.ok;
		} catch {
			return false;
		}
	}

	/** Before Ctrl+V is sent: settles when the desktop has what the browser would paste. */
	beforePaste() {
		if (!this.#enabled) {
			return Promise.resolve();
		}
		return new Promise((resolve) => {
			const timer = setTimeout(resolve, PASTE_EVENT_MS);
			this.#pasteWaiter = async (text) => {
				clearTimeout(timer);
				if (text && text !== this.#last) {
					await this.write(text);
				}
				resolve();
			};
		});
	}

	/** After Ctrl+C was sent. */
	afterCopy() {
		if (this.#enabled) {
			setTimeout(() => void this.#toBrowser(), COPY_SETTLES_MS);
		}
	}

	async #toBrowser() {
		const text = await this.read();
		if (text && text !== this.#last) {
			this.#last = text;
			await navigator.clipboard?.writeText(text).catch(() => {
				this.onProblem('The browser did not let the page copy; use the clipboard panel.');
			});
		}
	}

	// Only where it was permitted before: no question pops up by itself.
	async #fromBrowser() {
		if (!this.#enabled || !navigator.clipboard?.readText) {
			return;
		}
		try {
			const permission = await navigator.permissions.query({ name: 'clipboard-read' });
			if (permission.state === 'granted') {
				const text = await navigator.clipboard.readText();
				if (text && text !== this.#last) {
					await this.write(text);
				}
			}
		} catch {
			// Browsers that have no such permission ask at each paste; then handlePaste serves.
		}
	}

	#handlePaste(e) {
		const waiter = this.#pasteWaiter;
		this.#pasteWaiter = null;
		if (waiter) {
			e.preventDefault();
			void waiter(e.clipboardData?.getData('text/plain') ?? '');
		}
	}
}
