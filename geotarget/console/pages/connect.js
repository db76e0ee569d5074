// For whoever builds the app: where pings go, as this node says it, in lines to copy; and whether
// the first one arrives.

import { html, useState } from "../vendor/preact.js";
import { get, piece, post } from "../api.js";
import { may } from "../session.js";
import { Button, Copy, Text, Trouble, useAnswer, Waiting } from "../parts/parts.js";
import { complain } from "../parts/toasts.js";
import { Arrival } from "./connect-arrival.js";

const DEVICE = /^[A-Za-z0-9_-]{1,64}$/;
const MEMBERS = [
  ["ts", "When the fix was taken: epoch seconds, or RFC 3339. Required"],
  ["lat, lng", "Degrees, WGS 84. Required"],
  ["acc", "Accuracy in metres, as Android and iOS report it. Worth a lot: without it 50 m is assumed"],
  ["id", "Any string: makes a repetition recognisable"],
];
const ACCESS = {
  open: "Open: everybody who reaches the broker may publish for any device. Good for trying; the operator can ask for passwords.",
  password: "One password for all devices, user device. Your operator knows it.",
  device: "Each device has a password of its own, and its id is user name and client id. Your back end asks for it, with a key of scope devices:write, and hands it to the phone.",
  token: "Each device has a token of its own, and its id is user name and client id. Your back end has it made, with a key of scope devices:write, and hands it to the phone.",
  broker: "Your own broker says who may publish; its operator knows user and password.",
};

export function Connect() {
  const { value, error, again } = useAnswer((signal) => get("/v1/connection", {}, { signal }));
  const [device, setDevice] = useState("phone-1");
  const [login, setLogin] = useState(null);
  const usable = DEVICE.test(device);
  const named = (typed) => {
    setDevice(typed.trim());
    setLogin(null);
  };
  const logins = { device: (path) => post(`${path}/credentials`), token: tokenFor };
  const ask = async () => {
    try {
      setLogin(await logins[value.mqtt.access](`/v1/devices/${piece(device)}`));
    } catch (refused) {
      complain(refused);
    }
  };
  return html`<${Trouble} error=${error} again=${again} />
    ${!value && !error && html`<section class="panel"><${Waiting} what="Loading the address" /></section>`}
    ${value &&
    html`<section class="panel stack">
        <header><h2>Send pings</h2></header>
        <p>A ping is where a phone is, and when. Publish it over MQTT with QoS 1, one at a time or up to ${value.mqtt.message_pings} in an array; or post it over HTTP, which answers what was wrong.</p>
        <dl class="pairs">
          <dt>Broker</dt><dd><code class="long">${address(value.mqtt)}</code>${value.mqtt.tls ? " with TLS: verify its certificate" : " without TLS"}</dd>
          <dt>Topic</dt><dd><code class="long">${value.mqtt.topic}</code> where <code>{device}</code> is an opaque id of yours</dd>
          <dt>Access</dt><dd>${ACCESS[value.mqtt.access]}</dd>
          <dt>Protocol</dt><dd>MQTT 3.1.1, QoS 1, <code>clean_session=False</code>; at most ${Math.floor(value.mqtt.message_bytes / 1024)} KiB a message</dd>
          <dt>HTTP</dt><dd><code class="long">POST ${location.origin + value.http.path}</code> with a key of scope <code>${value.http.scope}</code></dd>
          ${MEMBERS.map(([member, words]) => html`<dt key=${member}><code>${member}</code></dt><dd>${words}</dd>`)}
        </dl>
      </section>
      <section class="panel stack">
        <header><h2>Try it</h2></header>
        <div class="row low-row">
          <${Text} label="Device" hint="1 to 64 of A-Z, a-z, 0-9, _\u00a0and\u00a0-" wrong=${usable ? "" : "Such an id can't be a part of a topic."} value=${device} onValue=${named} spellcheck=${false} autocomplete="off" />
          ${value.mqtt.access in logins && may("devices:write") && !login && html`<${Button} icon="key-round" disabled=${!usable} onClick=${ask}>${value.mqtt.access === "token" ? "Make a token for an hour" : "Show its password"}<//>`}
        </div>
        ${login && html`<div><h3>${value.mqtt.access === "token" ? "Token" : "Password"} of ${login.username}</h3><div class="row"><code class="secret">${login.password}</code><${Copy} text=${login.password} /></div>${value.mqtt.access === "token" && html`<p class="faint">Shown this once. It lasts for an hour, or until it is revoked.</p>`}</div>`}
        ${usable &&
        html`<${Lines} title="MQTT" text=${published(value.mqtt, device)} />
          <${Lines} title="HTTP" text=${posted(value.http, device)} />
          <${Lines} title="Payload" text=${JSON.stringify({ ts: Math.floor(Date.now() / 1000), ...FIX }, null, 2)} />`}
      </section>
      ${usable && html`<${Arrival} key=${device} device=${device} />`}`}`;
}

async function tokenFor(path) {
  const made = await post(`${path}/tokens`, { name: "console", valid_s: 3600 });
  return { username: made.login.username, password: made.token };
}

function Lines({ title, text }) {
  return html`<div>
    <div class="row spread lines-head"><h3>${title}</h3><${Copy} text=${text} label=${`Copy ${title}`} /></div>
    <pre tabindex="0" aria-label=${title}>${text}</pre>
  </div>`;
}

const FIX = { lat: 60.1699, lng: 24.9384, acc: 8 };

/** The fix as shell text; `date` tells the time. */
const fix = (before) => `{${before}"ts": '$(date +%s)', "lat": ${FIX.lat}, "lng": ${FIX.lng}, "acc": ${FIX.acc}}`;

/** A broker that listens everywhere is reached by the name that this page is reached by. */
const hostOf = (mqtt) => mqtt.host || location.hostname.replace(/^\[|\]$/g, "");

function address(mqtt) {
  const host = hostOf(mqtt);
  return `${mqtt.tls ? "mqtts" : "mqtt"}://${host.includes(":") ? `[${host}]` : host}:${mqtt.port}`;
}

function published(mqtt, device) {
  const own = (text) => text.replace("{device}", device);
  const login = {
    open: "",
    broker: ' -u "$MQTT_USER" -P "$MQTT_PASSWORD"',
    password: ` -u device -P "$MQTT_PASSWORD"`,
    device: ` -i ${device} -u ${device} -P "$MQTT_PASSWORD"`,
    token: ` -i ${device} -u ${device} -P "$MQTT_PASSWORD"`,
  }[mqtt.access];
  return `mosquitto_pub -h ${hostOf(mqtt)} -p ${mqtt.port}${mqtt.tls ? " --tls-use-os-certs" : ""}${login} \\
  -q 1 -t '${own(mqtt.topic)}' \\
  -m '${fix("")}'`;
}

function posted(http, device) {
  return `curl -sS ${location.origin}${http.path} \\
  -H "Authorization: Bearer $KEY" -H 'content-type: application/json' \\
  -d '[${fix(`"device": "${device}", `)}]'`;
}
