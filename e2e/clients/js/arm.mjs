// Microsoft's @azure/arm-resources, -resources-subscriptions and -authorization,
// unmodified, against a running Deskyard.

import { randomUUID } from "node:crypto";
import { AuthorizationManagementClient } from "@azure/arm-authorization";
import { ResourceManagementClient } from "@azure/arm-resources";
import { SubscriptionClient } from "@azure/arm-resources-subscriptions";
import { Run, all, bootstrap, clientOptions, credential, must } from "./steps.mjs";

const run = new Run("npm @azure/arm-resources and -authorization");
const sub = bootstrap.subscriptionId;
const rg = "npm-arm-rg";
const scope = `/subscriptions/${sub}/resourceGroups/${rg}`;
const poolId = `${scope}/providers/Microsoft.DesktopVirtualization/hostPools/hp1`;
const version = "2024-04-03";
const arm = new ResourceManagementClient(credential, sub, clientOptions);
const pool = { location: "local", properties: { hostPoolType: "Pooled", loadBalancerType: "BreadthFirst", preferredAppGroupType: "Desktop" } };

async function subscriptions() {
  const client = new SubscriptionClient(credential, clientOptions);
  await run.step("subscriptions.list", async () =>
    must((await all(client.subscriptions.list())).some((s) => s.subscriptionId === sub), "the subscription is not listed"),
  );
  await run.step("subscriptions.get", async () => must((await client.subscriptions.get(sub)).state === "Enabled", "not enabled"));
  await run.step("subscriptions.listLocations", async () => must((await all(client.subscriptions.listLocations(sub))).length > 0, "none"));
  await run.step("tenants.list", async () => must((await all(client.tenants.list()))[0].tenantId === bootstrap.tenantId, "another tenant"));
}

async function groupsAndProviders() {
  const g = arm.resourceGroups;
  await run.step("resourceGroups.createOrUpdate", async () => {
    const made = await g.createOrUpdate(rg, { location: "local", tags: { a: "b" } });
    must(made.properties.provisioningState === "Succeeded" && made.tags.a === "b", "not what was stored");
  });
  await run.step("resourceGroups.get", () => g.get(rg));
  await run.step("resourceGroups.update", async () => must((await g.update(rg, { tags: { c: "d" } })).tags.c === "d", "not changed"));
  await run.step("resourceGroups.checkExistence", async () => must((await g.checkExistence(rg)).body === true, "says it is not there"));
  await run.step("resourceGroups.list", async () => must((await all(g.list())).some((x) => x.name === rg), "not listed"));
  await run.step("providers.get", async () => {
    const provider = await arm.providers.get("Microsoft.DesktopVirtualization");
    must(provider.registrationState === "Registered", "not registered");
    must(provider.resourceTypes.some((t) => t.resourceType.toLowerCase() === "hostpools/sessionhosts"), "child types are missing");
  });
  await run.step("providers.list", async () => must((await all(arm.providers.list())).length > 1, "wanted several"));
  await run.step("providers.register", () => arm.providers.register("Microsoft.DesktopVirtualization"));
}

async function resources() {
  const r = arm.resources;
  await run.step("resources.beginCreateOrUpdateById", () => r.beginCreateOrUpdateByIdAndWait(poolId, version, pool, { updateIntervalInMs: 500 }));
  await run.step("resources.getById", async () => must((await r.getById(poolId, version)).properties.hostPoolType === "Pooled", "not what was stored"));
  await run.step("resources.beginUpdateById", () =>
    r.beginUpdateByIdAndWait(poolId, version, { properties: { friendlyName: "by id" } }, { updateIntervalInMs: 500 }),
  );
  await run.step("resources.checkExistenceById", async () => must((await r.checkExistenceById(poolId, version)).body === true, "says it is not there"));
  await run.step("resources.list by type", async () => {
    const found = await all(r.list({ filter: "resourceType eq 'Microsoft.DesktopVirtualization/hostPools'" }));
    must(found.some((x) => x.id.toLowerCase() === poolId.toLowerCase()), "not listed");
  });
  await run.step("resources.listByResourceGroup", async () => must((await all(r.listByResourceGroup(rg))).length === 1, "wanted one"));
}

async function tags() {
  const t = arm.tagsOperations;
  await run.step("tags.createOrUpdateAtScope", () => t.createOrUpdateAtScope(poolId, { properties: { tags: { env: "test" } } }));
  await run.step("tags.updateAtScope", async () => {
    const merged = await t.updateAtScope(poolId, { operation: "Merge", properties: { tags: { k: "v" } } });
    must(merged.properties.tags.env === "test" && merged.properties.tags.k === "v", "not merged");
  });
  await run.step("tags.getAtScope", async () => must((await t.getAtScope(poolId)).properties.tags.k === "v", "not what was stored"));
  await run.step("tags.deleteAtScope", async () => {
    await t.deleteAtScope(poolId);
    must(Object.keys((await t.getAtScope(poolId)).properties.tags ?? {}).length === 0, "still there");
  });
}

async function roles() {
  const auth = new AuthorizationManagementClient(credential, sub, clientOptions);
  const name = randomUUID();
  const user = "1d18fff3-a72a-46b5-b4a9-0b38a3cd7e63"; // Desktop Virtualization User, the same id as in Azure
  const definitionId = `/subscriptions/${sub}/providers/Microsoft.Authorization/roleDefinitions/${user}`;
  const principalId = await run.step("the token names its principal (oid)", me);
  await run.step("roleDefinitions.list by name", async () => {
    const found = await all(auth.roleDefinitions.list(scope, { filter: "roleName eq 'Desktop Virtualization User'" }));
    must(found.length === 1 && found[0].name === user, "not Azure's id");
  });
  await run.step("roleDefinitions.get", () => auth.roleDefinitions.get(scope, user));
  await run.step("roleAssignments.create", () =>
    auth.roleAssignments.create(scope, name, { roleDefinitionId: definitionId, principalId, principalType: "ServicePrincipal" }),
  );
  await run.step("roleAssignments.get", async () => must((await auth.roleAssignments.get(scope, name)).principalId === principalId, "not what was stored"));
  await run.step("roleAssignments.listForScope", async () =>
    must((await all(auth.roleAssignments.listForScope(scope, { filter: "atScope()" }))).some((a) => a.name === name), "not listed"),
  );
  await run.step("roleAssignments.delete", () => auth.roleAssignments.delete(scope, name));
  await run.step("permissions.listForResourceGroup", async () =>
    must((await all(auth.permissions.listForResourceGroup(rg))).some((p) => p.actions.includes("*")), "the owner has no action"),
  );
}

/** The service principal's object id, from its own token. */
async function me() {
  const { token } = await credential.getToken(clientOptions.credentialScopes[0]);
  const { oid } = JSON.parse(Buffer.from(token.split(".")[1], "base64url"));
  must(oid, "no oid in the token");
  return oid;
}

await subscriptions();
await groupsAndProviders();
await resources();
await tags();
await roles();
await run.step("resources.beginDeleteById", () => arm.resources.beginDeleteByIdAndWait(poolId, version, { updateIntervalInMs: 500 }));
await run.refused("resources.getById of none", 404, () => arm.resources.getById(poolId, version));
await run.step("resourceGroups.beginDelete", () => arm.resourceGroups.beginDeleteAndWait(rg, { updateIntervalInMs: 500 }));
run.finish();
