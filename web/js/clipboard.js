// SPDX-License-Identifier: GPL-2.0-or-later
// The desktop's clipboard (HTTP route /clipboard) and the browser's, kept alike where the browser
// lets a page do that: to the desktop when the page gets the focus or something is pasted, from it
// when the bridge says that it changed. Texts and pictures (PNG): {type: 'text' | 'image', data}, a
// picture's data in base64.

const COPY_SETTLES_MS = 250; // the desktop's application takes a moment to copy
const PASTE_EVENT_MS = 300; // the browser gives the content at once, or not at all
const TEXT_MAX = 1 << 20; // bytes; docs/protocol/http.md, 2.3
const IMAGE_MAX = 8 << 20;

const keyOf = (content) => `${content.type}:${content.data}`;

async function imageOf(blob) {
	const url = await new Promise((resolve, reject) => {
		const reader = new FileReader();
		reader.onload = () => resolve(reader.result);
		reader.onerror = () => reject(reader.error);
		reader.readAsDataURL(blob);
	});
	return { type: 'image', data: url.slice(url.indexOf(',') + 1) };
}

function blobOf(image) {
	const bytes = Uint8Array.from(atob(image.data), (c) => c.charCodeAt(0));
	return new Blob([bytes], { type: 'image/png' });
}

const mayRead = async () =>
	(await navigator.permissions.query({ name: 'clipboard-read' })).state === 'granted';

// What the browser has; null if that is nothing we know, or it does not tell.
async function readBrowser() {
	for (const item of await navigator.clipboard.read()) {
		if (item.types.includes('text/plain')) {
			return { type: 'text', data: await (await item.getType('text/plain')).text() };
		}
		if (item.types.includes('image/png')) {
			return imageOf(await item.getType('image/png'));
		}
	}
	return null;
}

export class Clipboard {
	#url;
	#enabled = false;
	#state = null; // as the bridge told last; null: it never did
	#last = null; // key of what both have, as far as we know
	#pending = null; // content that the browser did not take
	#bringing = null; // promise, while something is brought to the browser
	#again = false;
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
		element.addEventListener('focus', () => void this.#handleFocus());
		window.addEventListener('focus', () => void this.#handleFocus());
		// Some browsers let a page copy only just after the user did something.
		for (const gesture of ['pointerup', 'keyup']) {
			document.addEventListener(gesture, () => void this.#bringPending(), true);
		}
	}

	/** Whether this viewer may use it. */
	enable(enabled) {
		this.#enabled = enabled;
	}

	/** Whether there is a way to the desktop's clipboard, as far as we know. */
	get available() {
		return this.#enabled && this.#state?.available !== false;
	}

	/** The bridge's message about the desktop's clipboard. */
	handleState(state) {
		const before = this.#state;
		this.#state = state;
		// What it has when we come is nothing new to anybody.
		if (before && before.generation !== state.generation) {
			void this.#toBrowser();
		}
	}

	/** The desktop's content; null if it cannot be had. */
	async read() {
		try {
			const reply = await fetch(this.#url, { cache: 'no-store' });
			const content = reply.ok ? await reply.json() : null;
			const known = content?.type === 'text' || content?.type === 'image';
			return known && typeof content.data === 'string' ? content : null;
		} catch {
			return null;
		}
	}

	/** Gives the desktop a content. True if it took it; else the user was told. */
	async write(content) {
		const text = content.type === 'text';
		const size = text ? new TextEncoder().encode(content.data).length : content.data.length * 3 / 4;
		if (size > (text ? TEXT_MAX : IMAGE_MAX)) {
			this.onProblem(`That ${text ? 'text' : 'picture'} is too large for the clipboard.`);
			return false;
		}
		const before = this.#last;
		this.#last = keyOf(content); // the bridge's message may be faster than its answer
		this.#pending = null;
		const reply = await fetch(this.#url, {
			method: 'POST',
			headers: { 'Content-Type': 'application/json' },
			body: JSON.stringify(content),
		}).catch(() => null);
		if (reply?.ok) {
			return true;
		}
		this.#last = before;
		this.onProblem(reply?.status === 501 ? 'This desktop’s compositor lets nobody use its clipboard.'
			: 'The desktop did not take what was to be pasted.');
		return false;
	}

	/** Before Ctrl+V is sent: settles when the desktop has what the browser would paste. */
	beforePaste() {
		if (!this.available) {
			return Promise.resolve();
		}
		return new Promise((resolve) => {
			const timer = setTimeout(resolve, PASTE_EVENT_MS);
			this.#pasteWaiter = async (content) => {
				clearTimeout(timer);
				await this.#toDesktop(await content);
				resolve();
			};
		});
	}

	/** After Ctrl+C was sent: for bridges that do not tell of changes. */
	afterCopy() {
		if (this.#enabled && !this.#state) {
			setTimeout(() => void this.#toBrowser(), COPY_SETTLES_MS);
		}
	}

	async #toDesktop(content) {
		if (content?.data && keyOf(content) !== this.#last) {
			await this.write(content);
		}
	}

	// One at a time; what changes meanwhile is brought after it.
	async #toBrowser() {
		this.#again = true;
		this.#bringing ??= (async () => {
			while (this.#again) {
				this.#again = false;
				const content = this.available ? await this.read() : null;
				if (content?.data && !this.#again && keyOf(content) !== this.#last) {
					await this.#bring(content, true);
				}
			}
			this.#bringing = null;
		})();
		await this.#bringing;
	}

	async #bring(content, complain) {
		try {
			if (content.type === 'text') {
				await navigator.clipboard.writeText(content.data);
			} else {
				await navigator.clipboard.write([new ClipboardItem({ 'image/png': blobOf(content) })]);
			}
			this.#last = keyOf(content);
			this.#pending = null;
			// Browsers write pictures anew: we must know ours again.
			if (content.type === 'image' && await mayRead()) {
				const back = await readBrowser();
				this.#last = back ? keyOf(back) : this.#last;
			}
		} catch {
			this.#pending = content;
			if (complain && document.hasFocus()) {
				this.onProblem('The browser did not let the page copy; use the clipboard panel.');
			}
		}
	}

	async #bringPending() {
		const content = this.#pending;
		if (content && this.available && navigator.clipboard) {
			this.#pending = null;
			await this.#bring(content, false);
		}
	}

	// Only where it was permitted before: no question pops up by itself.
	async #handleFocus() {
		if (!this.available || !navigator.clipboard?.read) {
			return;
		}
		try {
			const content = await mayRead() ? await readBrowser() : null;
			// What was copied elsewhere meanwhile is newer to the user than what the desktop did.
			if (content?.data && keyOf(content) !== this.#last) {
				await this.write(content);
			}
		} catch {
			// Browsers that have no such permission ask at each paste; then handlePaste serves.
		}
		await this.#bringPending();
	}

	#handlePaste(e) {
		const waiter = this.#pasteWaiter;
		this.#pasteWaiter = null;
		if (!waiter) {
			return;
		}
		e.preventDefault();
		const text = e.clipboardData?.getData('text/plain');
		const image = [...(e.clipboardData?.files ?? [])].find((file) => file.type === 'image/png');
		const content = text ? { type: 'text', data: text } : image ? imageOf(image) : null;
		void waiter(content);
	}
}
