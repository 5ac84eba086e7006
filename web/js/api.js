// SPDX-License-Identifier: GPL-2.0-or-later
// Where a desktop's stream and HTTP routes are. Pages come from helix-gateway, which has many
// desktops, or from one desktop's own bridge. All URLs are relative to the page, so a proxy may put
// it below any path.

/**
 * @param {string} pageUrl
 * @returns {{name: string, stream: string, http: (route: string) => string}}
 */
export function locateDesktop(pageUrl) {
	const page = new URL(pageUrl);
	const name = page.searchParams.get('desktop') ?? '';
	const prefix = name ? `api/v1/external-agents/${encodeURIComponent(name)}/` : '';
	const stream = new URL(`${prefix}ws/stream`, page);
	stream.protocol = page.protocol === 'https:' ? 'wss:' : 'ws:';
	return {
		name,
		stream: stream.href,
		http: (route) => new URL(prefix + route, page).href,
	};
}

/** Where the page of one desktop is. */
export function desktopPage(name) {
	return `desktop.html?desktop=${encodeURIComponent(name)}`;
}

/** Why a handshake may have failed: 'refused', 'missing', or '' for whatever may pass. */
export async function probe(url) {
	try {
		const reply = await fetch(url, { cache: 'no-store', signal: AbortSignal.timeout(5000) });
		return { 401: 'refused', 403: 'refused', 404: 'missing' }[reply.status] ?? '';
	} catch {
		return '';
	}
}
