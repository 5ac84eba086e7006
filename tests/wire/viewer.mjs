// SPDX-License-Identifier: GPL-2.0-or-later
// A viewer as a program of its own: `node viewer.mjs BASE [HEADERS-AS-JSON]`. Says "picture" once there is one.
import { open } from '../integration/gateway/websocket.mjs';

const [base, headers = '{}'] = process.argv.slice(2);
const ws = await open(`${base}/ws/stream`, JSON.parse(headers));
ws.send(1, JSON.stringify({ type: 'init' }));
for (;;) {
	const m = await ws.message(60000);
	if (!m.text && m.data[0] === 1) {
		console.log('picture');
	}
}
