// SPDX-License-Identifier: GPL-2.0-or-later
// The page of all desktops of a gateway. Thumbnails are small JPEGs that the gateway keeps, so
// sixteen desktops cost no decoder here, and a desktop that nobody looks at costs nothing at all.

import { desktopPage } from './api.js';
import { describeDesktop, sorted, summarize } from './grid-model.js';

const LIST_MS = 2000;
const SLOW_MS = 10000; // after a failure
const THUMBNAIL_MS = 2000;

const $ = (id) => document.getElementById(id);
const cards = new Map(); // desktop id: its elements
let timer = 0;

function element(tag, className, parent) {
	const made = document.createElement(tag);
	made.className = className;
	parent.append(made);
	return made;
}

function createCard(id) {
	const item = document.createElement('li');
	const link = element('a', 'card', item);
	link.href = desktopPage(id);
	const thumbnail = element('div', 'thumbnail', link);
	const placeholder = element('span', '', thumbnail);
	const image = element('img', '', thumbnail);
	image.alt = '';
	image.hidden = true;
	const about = element('div', 'about', link);
	element('span', 'dot', about);
	element('span', 'card-name', about).textContent = id;
	const state = element('span', 'card-state', about);
	return { item, link, image, placeholder, state, asked: -Infinity, busy: false };
}

// The newest picture replaces the last one when it has come, not before.
async function loadThumbnail(card, desktop) {
	const now = performance.now();
	if (card.busy || now - card.asked < THUMBNAIL_MS || desktop.state === 'offline') {
		return;
	}
	card.busy = true;
	card.asked = now;
	const reply = await fetch(`api/v1/desktops/${encodeURIComponent(desktop.id)}/thumbnail`)
		.catch(() => null);
	const blob = reply?.ok ? await reply.blob().catch(() => null) : null;
	card.busy = false;
	if (!blob) {
		return;
	}
	const url = URL.createObjectURL(blob);
	const old = card.image.src;
	card.image.src = url;
	card.image.hidden = false;
	card.placeholder.hidden = true;
	await card.image.decode().catch(() => {});
	URL.revokeObjectURL(old);
}

function updateCard(card, desktop) {
	const { tone, text } = describeDesktop(desktop);
	card.item.dataset.tone = tone;
	card.state.textContent = text;
	card.link.setAttribute('aria-label', `${desktop.id}: ${text}`);
	if (desktop.state === 'offline') {
		card.image.hidden = true;
		card.placeholder.hidden = false;
	}
	card.placeholder.textContent = desktop.state === 'offline' ? 'No picture' : 'Waiting for a picture';
	void loadThumbnail(card, desktop);
}

function show(desktops) {
	for (const [id, card] of cards) {
		if (!desktops.some((d) => d.id === id)) {
			card.item.remove();
			URL.revokeObjectURL(card.image.src);
			cards.delete(id);
		}
	}
	sorted(desktops).forEach((desktop, i) => {
		const card = cards.get(desktop.id) ?? createCard(desktop.id);
		cards.set(desktop.id, card);
		if ($('desktops').children[i] !== card.item) {
			$('desktops').insertBefore(card.item, $('desktops').children[i] ?? null);
		}
		updateCard(card, desktop);
	});
	$('summary').textContent = desktops.length > 0 ? summarize(desktops) : '';
	$('empty').hidden = desktops.length > 0;
	$('empty-title').textContent = 'No desktops yet';
	$('empty-text').textContent = 'They appear here by themselves as they start.';
}

function showProblem(text) {
	$('summary').textContent = cards.size > 0 ? text : '';
	$('empty').hidden = cards.size > 0;
	$('empty-title').textContent = text;
	$('empty-text').textContent = 'Trying again every few seconds.';
}

// Returns ms until the next one.
async function refresh() {
	let reply;
	try {
		reply = await fetch('api/v1/desktops', { cache: 'no-store' });
	} catch {
		showProblem('The gateway does not answer');
		return SLOW_MS;
	}
	if (reply.status === 404 || reply.status === 501) {
		// The pages of one desktop's own bridge: there is nothing to choose from.
		location.replace('desktop.html');
		return SLOW_MS;
	}
	if (reply.status === 401) {
		location.replace('login');
		return SLOW_MS;
	}
	const list = reply.ok ? await reply.json().catch(() => null) : null;
	if (!Array.isArray(list?.desktops)) {
		showProblem(`The gateway answered with an error (${reply.status})`);
		return SLOW_MS;
	}
	const named = list.user && list.user !== 'everybody'; // as a gateway without tokens calls them
	$('user').textContent = named ? list.user : '';
	$('user').hidden = $('sign-out').hidden = !named;
	show(list.desktops);
	return LIST_MS;
}

async function run() {
	clearTimeout(timer);
	if (!document.hidden) {
		const ms = await refresh();
		timer = setTimeout(run, ms);
	}
}

document.addEventListener('visibilitychange', run);
void run();
