// SPDX-License-Identifier: GPL-2.0-or-later
// A viewer as a program of its own: `node viewer.mjs BASE [HEADERS-AS-JSON]`. Says "picture" once there is one.
import { Viewer } from './client.mjs';

const [base, headers = '{}'] = process.argv.slice(2);
const viewer = (await Viewer.open(`${base}/ws/stream`, { headers: JSON.parse(headers), fragments: true })).init();
for (;;) {
	await viewer.expect('VideoFrame', undefined, 60000);
	console.log('picture');
}
