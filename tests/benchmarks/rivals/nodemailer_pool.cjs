// nodemailer's pool, fed from a CSV list with the simplest personalisation. The yardstick, not our code.
// Usage: node nodemailer_pool.cjs HOST PORT LIST.csv TEMPLATE.html TEMPLATE.txt CONNECTIONS [MORE]
// MORE is JSON, all of it optional: {"ca": FILE, "attachment": FILE, "dkim": {"domain", "selector", "key": FILE},
// "module": NAME}; with "ca", TLS from the first byte; "module" is another release of nodemailer under a name of its own.
"use strict";
const fs = require("node:fs");
const path = require("node:path");
const readline = require("node:readline");

const [host, port, list, htmlFile, textFile, connections, more] = process.argv.slice(2);
const { ca, attachment, dkim, module: release } = JSON.parse(more ?? "{}");
const nodemailer = require(release ?? "nodemailer");
const html = fs.readFileSync(htmlFile, "utf8");
const text = fs.readFileSync(textFile, "utf8");
const fill = (source, row) => source.replace(/\{\{\s*(\w+)[^}]*\}\}/g, (_, name) => row[name] ?? "");
const attachments = attachment
  ? [{ filename: path.basename(attachment), content: fs.readFileSync(attachment) }] : [];

const transport = nodemailer.createTransport({
  host, port: Number(port), pool: true, maxConnections: Number(connections), maxMessages: Infinity,
  ...(ca ? { secure: true, tls: { ca: fs.readFileSync(ca) } } : { secure: false, ignoreTLS: true }),
  ...(dkim ? {
    dkim: { domainName: dkim.domain, keySelector: dkim.selector, privateKey: fs.readFileSync(dkim.key, "utf8") },
  } : {}),
});

async function main() {
  const lines = readline.createInterface({ input: fs.createReadStream(list) });
  let header = null;
  let sent = 0;
  const started = process.hrtime.bigint();
  const pending = new Set();
  for await (const line of lines) {
    const cells = line.split(",");
    if (!header) { header = cells; continue; }
    const row = Object.fromEntries(header.map((name, index) => [name, cells[index]]));
    const sending = transport.sendMail({
      from: "sender@example.com", to: row.email, subject: `Welcome, ${row.name}`, text: fill(text, row), html: fill(html, row),
      attachments,
    }).then(() => { sent += 1; pending.delete(sending); });
    pending.add(sending);
    // Its pool queues without bound; this bound keeps its memory flat and its connections busy.
    if (pending.size >= 20 * Number(connections)) await Promise.race(pending);
  }
  await Promise.all(pending);
  const seconds = Number(process.hrtime.bigint() - started) / 1e9;
  transport.close();
  console.log(`${sent} ${seconds.toFixed(6)}`);
}

main().catch((error) => { console.error(error); process.exit(1); });
