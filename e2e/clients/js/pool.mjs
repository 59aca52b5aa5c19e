// For the demo: makes a resource group, a host pool and its registration key with
// Microsoft's own clients. Usage: node pool.mjs GROUP POOL KEYFILE
// The key goes into KEYFILE (mode 0600), never to the terminal.

import { writeFileSync } from "node:fs";
import { DesktopVirtualizationAPIClient } from "@azure/arm-desktopvirtualization";
import { ResourceManagementClient } from "@azure/arm-resources";
import { bootstrap, clientOptions, credential } from "./steps.mjs";

const [group, name, keyFile] = process.argv.slice(2);
const sub = bootstrap.subscriptionId;
await new ResourceManagementClient(credential, sub, clientOptions).resourceGroups.createOrUpdate(group, { location: "local" });
const { hostPools } = new DesktopVirtualizationAPIClient(credential, sub, clientOptions);
await hostPools.createOrUpdate(group, name, {
  location: "local",
  hostPoolType: "Pooled",
  loadBalancerType: "BreadthFirst",
  preferredAppGroupType: "Desktop",
});
const expirationTime = new Date(Date.now() + 4 * 3600_000);
await hostPools.update(group, name, { hostPool: { registrationInfo: { expirationTime, registrationTokenOperation: "Update" } } });
const { token } = await hostPools.retrieveRegistrationToken(group, name);
writeFileSync(keyFile, token, { mode: 0o600 });
console.log(`made pool ${name} in ${group} and a key that is good until ${expirationTime.toISOString()}`);
