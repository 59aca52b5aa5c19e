#!/bin/bash
# Debian's azure-cli, unmodified, against a running Deskyard: it registers the
# service as a cloud, logs in as the service principal, and runs its group,
# resource, rest, tag and provider commands.
# DESKYARD_BOOTSTRAP names the file that `deskyard serve --bootstrap` wrote.
set -uo pipefail

value() { /usr/bin/python3 -c 'import json,sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$DESKYARD_BOOTSTRAP" "$1"; }
endpoint=$(value endpoint)
sub=$(value subscriptionId)
tenant=$(value tenantId)
client=$(value clientId)
secret=$(value clientSecret)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export AZURE_CONFIG_DIR=$work/config AZURE_CORE_COLLECT_TELEMETRY=0 AZURE_EXTENSION_USE_DYNAMIC_INSTALL=no AZURE_CORE_NO_COLOR=1
export REQUESTS_CA_BUNDLE
REQUESTS_CA_BUNDLE=$(value caFile)

# As after az's very first command, which looks for a newer release of az: this way
# no name outside the machine is asked for at all.
mkdir "$AZURE_CONFIG_DIR"
/usr/bin/python3 -c 'import json; from azure.cli.core import __version__ as v
print(json.dumps({"versions": {"core": {"local": v}}}))' >"$AZURE_CONFIG_DIR/versionCheck.json"

passed=0 failed=0
# step NAME WANT COMMAND...: the command must succeed and its output contain WANT (anything if empty).
# Only names and answers are printed, never the command with its secret.
step() {
	local name=$1 want=$2
	shift 2
	if timeout 90 "$@" >"$work/out" 2>"$work/err" && { [ -z "$want" ] || grep -qF -- "$want" "$work/out"; }; then
		passed=$((passed + 1))
		echo "ok    $name"
	else
		failed=$((failed + 1))
		echo "FAIL  $name: wanted \"$want\"; $({
			head -c 300 "$work/out"
			tail -n 4 "$work/err"
		} | tr -s '\n ' ' ')"
	fi
}

# refused NAME WANT COMMAND...: the command must fail and say WANT.
refused() {
	local name=$1 want=$2
	shift 2
	if ! timeout 90 "$@" >"$work/out" 2>"$work/err" && grep -qF -- "$want" "$work/err"; then
		passed=$((passed + 1))
		echo "ok    $name"
	else
		failed=$((failed + 1))
		echo "FAIL  $name: wanted a refusal with \"$want\"; $(tail -n 4 "$work/err" | tr -s '\n ' ' ')"
	fi
}

cat >"$work/cloud.json" <<JSON
{"endpoints": {
  "resourceManager": "$endpoint", "management": "$endpoint", "activeDirectory": "$endpoint/adfs",
  "activeDirectoryResourceId": "$endpoint/", "activeDirectoryGraphResourceId": "$endpoint/graph",
  "microsoftGraphResourceId": "$endpoint/graph/", "vmImageAliasDoc": "$endpoint/aliases.json"}}
JSON

group=/subscriptions/$sub/resourceGroups/azrg
pool=$group/providers/Microsoft.DesktopVirtualization/hostpools/hp1
version=2024-04-03
body='{"location":"local","properties":{"hostPoolType":"Pooled","loadBalancerType":"BreadthFirst","preferredAppGroupType":"Desktop"}}'

step "cloud register, from the service's own metadata" "" az cloud register -n probe --endpoint-resource-manager "$endpoint"
step "cloud register, from a file" "" az cloud register -n deskyard --cloud-config "@$work/cloud.json"
step "cloud set" "" az cloud set -n deskyard
step "login --service-principal" "$sub" az login --service-principal -u "$client" -p "$secret" --tenant "$tenant"
step "account show" "$tenant" az account show
step "account get-access-token" "accessToken" az account get-access-token
step "account list-locations" "local" az account list-locations

step "group create" '"Succeeded"' az group create -n azrg -l local --tags a=b
step "group show" "azrg" az group show -n azrg
step "group exists" "true" az group exists -n azrg
step "group list" "azrg" az group list
step "group update" '"c"' az group update -n azrg --set tags.c=d

step "provider show" "Registered" az provider show -n Microsoft.DesktopVirtualization
step "provider list" "Microsoft.DesktopVirtualization" az provider list --query '[].namespace'
step "provider register" "" az provider register -n Microsoft.DesktopVirtualization
step "rest get: operations" "retrieveRegistrationToken/action" az rest --method get --url "/providers/Microsoft.DesktopVirtualization/operations?api-version=$version"

step "rest put" '"Pooled"' az rest --method put --url "$endpoint$pool?api-version=$version" --body "$body"
step "rest patch: make a key" '"hp1"' az rest --method patch --url "$pool?api-version=$version" \
	--body "{\"properties\":{\"registrationInfo\":{\"expirationTime\":\"$(date -u -d '+4 hours' +%Y-%m-%dT%H:%M:%S.0000000Z)\",\"registrationTokenOperation\":\"Update\"}}}"
step "rest post: retrieveRegistrationToken" '"token"' az rest --method post --url "$pool/retrieveRegistrationToken?api-version=$version"
step "rest get: sessionHosts" '"value"' az rest --method get --url "$pool/sessionHosts?api-version=$version"
refused "rest get of none" "ResourceNotFound" az rest --method get --url "${pool}x?api-version=$version"

step "resource list -g" "hp1" az resource list -g azrg
step "monitor metrics list-definitions" "Available Session Hosts" az monitor metrics list-definitions --resource "$pool" -o table
step "monitor metrics list" 'Registered session hosts' az monitor metrics list --resource "$pool" --metrics "Session Hosts" "Active Sessions" --interval 1m --aggregation Average Maximum
refused "monitor metrics list of what is not measured" "Valid metrics: Session Hosts" az monitor metrics list --resource "$pool" --metrics Nothing
step "resource list --resource-type" "hp1" az resource list --resource-type Microsoft.DesktopVirtualization/hostpools
step "resource show --ids" "hp1" az resource show --ids "$pool"
step "resource show -g -n --resource-type" "hp1" az resource show -g azrg -n hp1 --resource-type Microsoft.DesktopVirtualization/hostpools
step "resource create -g -n" '"Persistent"' az resource create -g azrg -n hp2 --resource-type Microsoft.DesktopVirtualization/hostpools \
	--api-version $version -l local --properties '{"hostPoolType":"Personal","loadBalancerType":"Persistent","preferredAppGroupType":"Desktop"}'
step "resource create --id" "ws1" az resource create --id "$group/providers/Microsoft.DesktopVirtualization/workspaces/ws1" \
	--api-version $version -l local --properties '{"applicationGroupReferences":[]}'
step "resource update --set" "hello" az resource update --ids "$pool" --set properties.friendlyName=hello --api-version $version
step "resource invoke-action" "token" az resource invoke-action --ids "$pool" --action retrieveRegistrationToken --api-version $version
step "resource tag" '"x"' az resource tag --ids "$pool" --tags x=y --api-version $version

step "tag create" '"env"' az tag create --resource-id "$pool" --tags env=test
step "tag update --operation merge" '"k"' az tag update --resource-id "$pool" --operation merge --tags k=v
step "tag list" '"env"' az tag list --resource-id "$pool"
step "tag delete" "" az tag delete --resource-id "$pool" -y

# A template as people write them: with comments, and a string over two lines, which
# az pastes into its request as they are.
cat >"$work/template.json" <<'JSON'
{
  // a pool and its desktop
  "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
  "contentVersion": "1.0.0.0",
  "parameters": { "pool": { "type": "string" }, "word": { "type": "securestring" } },
  "resources": [
    { "type": "Microsoft.DesktopVirtualization/hostPools", "apiVersion": "2024-04-03", "name": "[parameters('pool')]", "location": "[resourceGroup().location]",
      "properties": { "hostPoolType": "Pooled", "loadBalancerType": "BreadthFirst", /* so */ "preferredAppGroupType": "Desktop", "description": "two
lines" } },
    { "type": "Microsoft.DesktopVirtualization/applicationGroups", "apiVersion": "2024-04-03", "name": "[concat(parameters('pool'), '-DAG')]", "location": "[resourceGroup().location]",
      "dependsOn": ["[parameters('pool')]"],
      "properties": { "applicationGroupType": "Desktop", "hostPoolArmPath": "[resourceId('Microsoft.DesktopVirtualization/hostPools', parameters('pool'))]" } }
  ],
  "outputs": { "desktop": { "type": "string", "value": "[reference(concat(parameters('pool'), '-DAG')).applicationGroupType]" } }
}
JSON
sed 's/BreadthFirst/Sideways/' "$work/template.json" >"$work/wrong.json"
sed "s/'Microsoft.DesktopVirtualization\/hostPools', parameters('pool')/'Microsoft.DesktopVirtualization\/hostPools', 'nowhere'/" "$work/template.json" >"$work/fails.json"
cat >"$work/sub.json" <<'JSON'
{"$schema": "https://schema.management.azure.com/schemas/2018-05-01/subscriptionDeploymentTemplate.json#", "contentVersion": "1.0.0.0", "resources": [
  {"type": "Microsoft.Resources/resourceGroups", "apiVersion": "2021-04-01", "name": "azrg2", "location": "[deployment().location]"},
  {"type": "Microsoft.Resources/deployments", "apiVersion": "2021-04-01", "name": "inside", "resourceGroup": "azrg2", "dependsOn": ["azrg2"], "properties": {"mode": "Incremental", "template":
    {"$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#", "contentVersion": "1.0.0.0", "resources": [
      {"type": "Microsoft.DesktopVirtualization/workspaces", "apiVersion": "2024-04-03", "name": "ws2", "location": "local", "properties": {}}]}}}]}
JSON
on=(-g azrg -n d1 --template-file "$work/template.json" --parameters pool=hp3 word=kept-secret)
step "deployment group validate" "Succeeded" az deployment group validate "${on[@]}"
step "deployment group what-if" "+ Create" az deployment group what-if "${on[@]}"
step "deployment group create" '"Desktop"' az deployment group create "${on[@]}" --query properties.outputs
step "deployment group what-if, again" "NoChange" az deployment group what-if "${on[@]}" --no-pretty-print
refused "deployment group create, of what is wrong" "'Sideways'" az deployment group create -g azrg -n d2 --template-file "$work/wrong.json" --parameters pool=hp4 word=x
refused "deployment group create, of what fails" "HostPoolNotFound" az deployment group create -g azrg -n d3 --template-file "$work/fails.json" --parameters pool=hp5 word=x
step "deployment group show, without the secret" "SecureString" az deployment group show -g azrg -n d1
step "deployment group list" "d3" az deployment group list -g azrg
step "deployment operation group list" "hp3-DAG" az deployment operation group list -g azrg -n d1
refused "deployment group cancel, of what has ended" "DeploymentCannotBeCancelled" az deployment group cancel -g azrg -n d1
step "deployment group export" "contentVersion" az deployment group export -g azrg -n d1
step "deployment group delete" "" az deployment group delete -g azrg -n d1
step "deployment sub create" "Succeeded" az deployment sub create -l local -n s1 --template-file "$work/sub.json"
step "deployment sub list" "s1" az deployment sub list
step "deployment operation sub list" "inside" az deployment operation sub list -n s1
step "deployment sub delete" "" az deployment sub delete -n s1
step "group delete, of a deployed group" "" az group delete -n azrg2 -y

step "resource delete --ids" "" az resource delete --ids "$pool"
step "group delete" "" az group delete -n azrg -y
step "group exists, of none" "false" az group exists -n azrg
refused "login with a wrong secret" "AADSTS7000215" az login --service-principal -u "$client" -p wrong --tenant "$tenant"
step "logout" "" az logout

echo "Debian azure-cli: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
