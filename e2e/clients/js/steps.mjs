// Runs the steps of one client and reports them, one line each.

import { readFileSync } from "node:fs";
import { ClientSecretCredential } from "@azure/identity";

const deadlineMs = 30_000; // for one step

/** What `deskyard serve --bootstrap` wrote; DESKYARD_BOOTSTRAP names the file. */
export const bootstrap = JSON.parse(readFileSync(process.env.DESKYARD_BOOTSTRAP, "utf8"));

/** A service principal's credential, as @azure/identity makes it for any authority of one's own. */
export const credential = new ClientSecretCredential(bootstrap.tenantId, bootstrap.clientId, bootstrap.clientSecret, {
  authorityHost: bootstrap.endpoint,
  disableInstanceDiscovery: true,
});

/** Options that point an Azure management client at the service. */
export const clientOptions = {
  endpoint: bootstrap.endpoint,
  credentialScopes: [bootstrap.endpoint + "//.default"],
};

/** Fails with message unless fact holds. */
export function must(fact, message) {
  if (!fact) throw new Error(message);
}

/** Everything that a paged list yields. */
export async function all(pages) {
  const found = [];
  for await (const one of pages) found.push(one);
  return found;
}

/** One client's steps: each passes or fails, and a failed one does not end the others. */
export class Run {
  #client;
  #passed = 0;
  #failed = 0;

  constructor(client) {
    this.#client = client;
  }

  /** Runs one step and returns what it returns; undefined when it failed. */
  async step(name, work) {
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer within ${deadlineMs / 1000} s`)), deadlineMs);
    });
    try {
      const result = await Promise.race([work(), late]);
      this.#passed++;
      console.log(`ok    ${name}`);
      return result;
    } catch (e) {
      this.#failed++;
      console.log(`FAIL  ${name}: ${describe(e)}`);
      return undefined;
    } finally {
      clearTimeout(timer);
    }
  }

  /** A step that the service must refuse with this HTTP status and an ARM error code. */
  async refused(name, status, work) {
    await this.step(`${name} (refused with ${status})`, async () => {
      let answer;
      try {
        answer = await work();
      } catch (e) {
        must(e.statusCode === status && e.code, `wanted ${status} with an error code, not: ${describe(e)}`);
        return;
      }
      throw new Error(`wanted ${status}, got an answer: ${JSON.stringify(answer)}`);
    });
  }

  /** Prints the sum and sets the exit code. */
  finish() {
    console.log(`${this.#client}: ${this.#passed} passed, ${this.#failed} failed`);
    process.exitCode = this.#failed === 0 ? 0 : 1;
  }
}

function describe(e) {
  const status = e.statusCode ? `${e.statusCode} ` : "";
  return `${status}${e.code ?? e.name}: ${String(e.message).replaceAll(/\s+/g, " ").slice(0, 400)}`;
}

/**
 * Wraps a client so that it notes which operations are called, and says which of
 * the operations that the package has were not.
 */
export function noteCalls(client) {
  const called = new Set();
  const groups = Object.keys(client).filter((k) => k !== "pipeline" && operationsOf(client[k]).length > 0);
  const watched = {};
  for (const group of groups) {
    watched[group] = new Proxy(client[group], {
      get(target, name) {
        const value = target[name];
        if (typeof value !== "function") return value;
        return (...args) => {
          called.add(`${group}.${name}`);
          return value.apply(target, args);
        };
      },
    });
  }
  const known = groups.flatMap((g) => operationsOf(client[g]).map((o) => `${g}.${o}`));
  return { watched, known, missed: () => known.filter((o) => !called.has(o)) };
}

/** The public operations of an operation group: what its class defines but helpers for paging. */
function operationsOf(group) {
  const proto = group && typeof group === "object" ? Object.getPrototypeOf(group) : null;
  if (!proto || proto === Object.prototype) return [];
  return Object.getOwnPropertyNames(proto).filter(
    (n) => n !== "constructor" && !n.startsWith("_") && !/Paging(Page|All)$/.test(n),
  );
}
