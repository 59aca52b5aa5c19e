// Every operation of Microsoft's @azure/arm-desktopvirtualization, unmodified,
// against a running Deskyard. With DESKYARD_SESSION_HOST=GROUP/POOL/HOST the
// operations on session hosts and user sessions run on that host.

import { DesktopVirtualizationAPIClient } from "@azure/arm-desktopvirtualization";
import { ResourceManagementClient } from "@azure/arm-resources";
import { Run, all, bootstrap, clientOptions, credential, must, noteCalls } from "./steps.mjs";
import { packages, schedules } from "./avd-stored.mjs";

const run = new Run("npm @azure/arm-desktopvirtualization");
const sub = bootstrap.subscriptionId;
const rg = "npm-rg";
const location = "local";
const avd = noteCalls(new DesktopVirtualizationAPIClient(credential, sub, clientOptions));
const client = avd.watched;
const groups = new ResourceManagementClient(credential, sub, clientOptions).resourceGroups;
const idOf = (type, name) => `/subscriptions/${sub}/resourceGroups/${rg}/providers/Microsoft.DesktopVirtualization/${type}/${name}`;

async function hostPools() {
  const pools = client.hostPools;
  const made = await run.step("hostPools.createOrUpdate", () =>
    pools.createOrUpdate(rg, "hp1", {
      location,
      hostPoolType: "Pooled",
      loadBalancerType: "BreadthFirst",
      preferredAppGroupType: "Desktop",
      maxSessionLimit: 12,
      customRdpProperty: "audiocapturemode:i:1;",
      tags: { env: "e2e" },
    }),
  );
  await run.step("hostPools.get", async () => {
    const pool = await pools.get(rg, "HP1");
    must(pool.objectId === made.objectId, "another object id than the create answered");
    must(pool.maxSessionLimit === 12 && pool.tags.env === "e2e", "not what was stored");
    must(pool.systemData?.createdAt instanceof Date, "no systemData.createdAt");
    must(!pool.registrationInfo?.token, "a GET must not carry the key");
  });
  const expires = new Date(Date.now() + 4 * 3600_000);
  await run.step("hostPools.update", async () => {
    const pool = await pools.update(rg, "hp1", {
      hostPool: { friendlyName: "Pool one", registrationInfo: { expirationTime: expires, registrationTokenOperation: "Update" } },
    });
    must(pool.friendlyName === "Pool one" && pool.maxSessionLimit === 12, "PATCH must change what it names and no more");
  });
  await run.step("hostPools.retrieveRegistrationToken", async () => {
    const info = await pools.retrieveRegistrationToken(rg, "hp1");
    must(info.token?.split(".").length === 3, "the key is not a JWT");
    must(Math.abs(info.expirationTime - expires) < 1000, `expires ${info.expirationTime}, not ${expires}`);
  });
  await run.step("hostPools.listRegistrationTokens", async () => {
    const list = await pools.listRegistrationTokens(rg, "hp1");
    must(list.value.length === 1 && list.value[0].token, "the key is not listed");
  });
  await run.step("hostPools.list", async () => must((await all(pools.list())).some((p) => p.name === "hp1"), "hp1 is not listed"));
  await run.step("hostPools.listByResourceGroup", async () =>
    must((await all(pools.listByResourceGroup(rg))).length === 1, "wanted one pool in the group"),
  );
  await run.refused("hostPools.get of none", 404, () => pools.get(rg, "nothing"));
  await run.refused("hostPools.createOrUpdate with a bad enum", 400, () =>
    pools.createOrUpdate(rg, "bad", { location, hostPoolType: "Round", loadBalancerType: "BreadthFirst", preferredAppGroupType: "Desktop" }),
  );
}

async function applicationGroups() {
  const g = client.applicationGroups;
  const body = (applicationGroupType) => ({ location, hostPoolArmPath: idOf("hostPools", "hp1"), applicationGroupType });
  await run.step("applicationGroups.createOrUpdate", async () => {
    const made = await g.createOrUpdate(rg, "desk", body("Desktop"));
    must(made.applicationGroupType === "Desktop", "not what was stored");
    await g.createOrUpdate(rg, "apps", body("RemoteApp"));
  });
  await run.step("applicationGroups.get", async () => must((await g.get(rg, "desk")).name === "desk", "another name"));
  await run.step("applicationGroups.update", async () => {
    const changed = await g.update(rg, "desk", { applicationGroup: { friendlyName: "Desktops" } });
    must(changed.friendlyName === "Desktops", "not changed");
  });
  await run.step("applicationGroups.listByResourceGroup", async () =>
    must((await all(g.listByResourceGroup(rg))).length === 2, "wanted two groups"),
  );
  await run.step("applicationGroups.listBySubscription", async () =>
    must((await all(g.listBySubscription())).length >= 2, "wanted two groups or more"),
  );
}

async function applications() {
  const a = client.applications;
  const app = { commandLineSetting: "DoNotAllow", filePath: "C:\\Windows\\notepad.exe", showInPortal: true, iconIndex: 0 };
  await run.step("applications.createOrUpdate", async () => {
    const made = await a.createOrUpdate(rg, "apps", "notepad", app);
    must(made.filePath === app.filePath, "not what was stored");
  });
  await run.step("applications.get", async () => must((await a.get(rg, "apps", "notepad")).commandLineSetting === "DoNotAllow", "not what was stored"));
  await run.step("applications.update", async () => {
    const changed = await a.update(rg, "apps", "notepad", { application: { friendlyName: "Notepad" } });
    must(changed.friendlyName === "Notepad" && changed.filePath === app.filePath, "PATCH must change what it names and no more");
  });
  await run.step("applications.list", async () => must((await all(a.list(rg, "apps"))).length === 1, "wanted one application"));
  await run.step("startMenuItems.list", () => all(client.startMenuItems.list(rg, "apps")));
  await run.step("applications.delete", async () => {
    await a.delete(rg, "apps", "notepad");
    must((await all(a.list(rg, "apps"))).length === 0, "still listed");
  });
}

async function desktops() {
  const d = client.desktops;
  await run.step("desktops.list", async () => must((await all(d.list(rg, "desk"))).length === 1, "wanted SessionDesktop alone"));
  await run.step("desktops.get", () => d.get(rg, "desk", "sessionDesktop"));
  await run.step("desktops.update", async () => {
    const changed = await d.update(rg, "desk", "SessionDesktop", { desktop: { friendlyName: "Full desktop" } });
    must(changed.friendlyName === "Full desktop", "not changed");
  });
}

async function workspaces() {
  const w = client.workspaces;
  await run.step("workspaces.createOrUpdate", async () => {
    const made = await w.createOrUpdate(rg, "ws1", { location, applicationGroupReferences: [idOf("applicationGroups", "desk")] });
    must(made.applicationGroupReferences.length === 1, "not what was stored");
  });
  await run.step("workspaces.get", () => w.get(rg, "ws1"));
  await run.step("workspaces.update", async () => {
    const changed = await w.update(rg, "ws1", {
      workspace: { friendlyName: "Home", applicationGroupReferences: [idOf("applicationGroups", "desk"), idOf("applicationGroups", "apps")] },
    });
    must(changed.applicationGroupReferences.length === 2, "not changed");
    const group = await client.applicationGroups.get(rg, "apps");
    must(group.workspaceArmPath?.toLowerCase() === idOf("workspaces", "ws1").toLowerCase(), "the group does not name its workspace");
  });
  await run.step("workspaces.listByResourceGroup", async () => must((await all(w.listByResourceGroup(rg))).length === 1, "wanted one"));
  await run.step("workspaces.listBySubscription", () => all(w.listBySubscription()));
}

async function privateLinks() {
  const c = client.privateEndpointConnections;
  const state = { privateLinkServiceConnectionState: { status: "Approved", description: "e2e" } };
  for (const [parent, name] of [["HostPool", "hp1"], ["Workspace", "ws1"]]) {
    await run.step(`privateLinkResources.listBy${parent}`, () => all(client.privateLinkResources[`listBy${parent}`](rg, name)));
    await run.step(`privateEndpointConnections.listBy${parent}`, async () =>
      must((await all(c[`listBy${parent}`](rg, name))).length === 0, "wanted none"),
    );
    await run.refused(`privateEndpointConnections.getBy${parent}`, 404, () => c[`getBy${parent}`](rg, name, "pe1"));
    await run.step(`privateEndpointConnections.updateBy${parent}`, async () => {
      await c[`updateBy${parent}`](rg, name, "pe1", state);
      const kept = await c[`getBy${parent}`](rg, name, "pe1");
      must(kept.privateLinkServiceConnectionState.status === "Approved", "not what was stored");
    });
    await run.step(`privateEndpointConnections.deleteBy${parent}`, async () => {
      await c[`deleteBy${parent}`](rg, name, "pe1");
      must((await all(c[`listBy${parent}`](rg, name))).length === 0, "still listed");
    });
  }
}

async function sessionHosts() {
  const [group, pool, host] = (process.env.DESKYARD_SESSION_HOST ?? `${rg}/hp1/nobody`).split("/");
  const h = client.sessionHosts;
  const u = client.userSessions;
  if (process.env.DESKYARD_SESSION_HOST) {
    await run.step("sessionHosts.list", async () => must((await all(h.list(group, pool))).some((x) => x.name === `${pool}/${host}`), "not listed"));
    await run.step("sessionHosts.get", async () => must((await h.get(group, pool, host)).agentVersion, "no agentVersion"));
    await run.step("sessionHosts.update", async () => {
      const drained = await h.update(group, pool, host, { sessionHost: { allowNewSession: false } });
      must(drained.allowNewSession === false, "not drained");
      await h.update(group, pool, host, { sessionHost: { allowNewSession: true } });
    });
    await run.step("userSessions.list", () => all(u.list(group, pool, host)));
  } else {
    await run.step("sessionHosts.list", async () => must((await all(h.list(group, pool))).length === 0, "wanted none"));
    await run.refused("sessionHosts.get", 404, () => h.get(group, pool, host));
    await run.refused("sessionHosts.update", 404, () => h.update(group, pool, host, { sessionHost: { allowNewSession: false } }));
    await run.refused("userSessions.list", 404, () => all(u.list(group, pool, host)));
  }
  await run.step("userSessions.listByHostPool", () => all(u.listByHostPool(group, pool)));
  await run.refused("userSessions.get", 404, () => u.get(group, pool, host, "999"));
  await run.refused("userSessions.sendMessage", 404, () =>
    u.sendMessage(group, pool, host, "999", { sendMessage: { messageTitle: "Hello", messageBody: "Save your work" } }),
  );
  await run.refused("userSessions.disconnect", 404, () => u.disconnect(group, pool, host, "999"));
  await run.step("userSessions.delete of none", () => gone(u.delete(group, pool, host, "999", { force: true })));
  await run.step("sessionHosts.delete of none", () => gone(h.delete(group, pool, "nobody-at-all", { force: true })));
}

/** A deletion of what is not there answers 204, or 404 where its parent is missing. */
async function gone(deletion) {
  try {
    await deletion;
  } catch (e) {
    must(e.statusCode === 404 && e.code, `${e.statusCode} ${e.code}`);
  }
}

async function removal() {
  await run.step("workspaces.delete", () => client.workspaces.delete(rg, "ws1"));
  await run.step("applicationGroups.delete", async () => {
    await client.applicationGroups.delete(rg, "apps");
    await client.applicationGroups.delete(rg, "desk");
  });
  await run.step("hostPools.delete", async () => {
    await client.hostPools.delete(rg, "hp1", { force: true });
    must((await all(client.hostPools.listByResourceGroup(rg))).length === 0, "still listed");
  });
  await run.step("operation: delete the resource group and wait", () => groups.beginDeleteAndWait(rg, { updateIntervalInMs: 500 }));
}

await run.step("operation: make the resource group", () => groups.createOrUpdate(rg, { location }));
await run.step("operations.list", async () => must((await all(client.operations.list())).length > 50, "wanted every operation of the provider"));
await hostPools();
await applicationGroups();
await applications();
await desktops();
await workspaces();
await privateLinks();
await schedules(run, client, { rg, location, pool: idOf("hostPools", "hp1") });
await packages(run, client, { rg, location, pool: "hp1", poolId: idOf("hostPools", "hp1") });
await sessionHosts();
await removal();
await run.step(`each of the client's ${avd.known.length} operations was called`, async () =>
  must(avd.missed().length === 0, "not called: " + avd.missed().join(", ")),
);
run.finish();
