{{- define "tidegate.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "tidegate.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- $name := include "tidegate.name" . }}
{{- if contains $name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}
{{- end }}

{{- define "tidegate.selector" -}}
app.kubernetes.io/name: {{ include "tidegate.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "tidegate.labels" -}}
{{ include "tidegate.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "tidegate.image" -}}
{{- if .Values.image.digest }}{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else }}{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}{{ end }}
{{- end }}

{{- define "tidegate.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ default (include "tidegate.fullname" .) .Values.serviceAccount.name }}
{{- else }}{{ default "default" .Values.serviceAccount.name }}{{ end }}
{{- end }}

{{/* The service account of a pool's nodes; call with (list $ pool), the pool with its defaults. */}}
{{- define "tidegate.nodeAccount" -}}
{{- $root := index . 0 }}{{ $pool := index . 1 -}}
{{- if $pool.serviceAccountName }}{{ $pool.serviceAccountName }}
{{- else if $root.Values.serviceAccount.create }}{{ include "tidegate.poolName" (list $root $pool.name) }}
{{- else }}default{{ end }}
{{- end }}

{{- define "tidegate.byAccount" -}}
{{- if eq .Values.enrolment.method "serviceAccount" }}true{{ end }}
{{- end }}

{{/* Whether trust roots are there without asking the control plane. */}}
{{- define "tidegate.givenRoots" -}}
{{- if .Values.enrolment.trustRootsConfigMap }}
{{- if not (include "tidegate.byAccount" .) }}{{ fail "enrolment.trustRootsConfigMap needs enrolment.method serviceAccount: by a seed a pod has to ask for a join token anyway" }}{{ end -}}
true
{{- end }}
{{- end }}

{{- define "tidegate.rootsMount" -}}
{{- if include "tidegate.givenRoots" . }}
- {name: trust-roots, mountPath: /etc/tidegate-roots, readOnly: true}
{{- end }}
{{- end }}

{{- define "tidegate.rootsVolume" -}}
{{- if include "tidegate.givenRoots" . }}
- name: trust-roots
  configMap:
    name: {{ .Values.enrolment.trustRootsConfigMap }}
    items: [{key: {{ .Values.enrolment.trustRootsKey }}, path: trust-roots.pem}]
{{- end }}
{{- end }}

{{/* Whether there are copies of the configuration. */}}
{{- define "tidegate.copies" -}}
{{- with .Values.copy }}
{{- if .enabled }}
{{- if not (include "tidegate.givenRoots" $) }}{{ fail "copy.enabled needs enrolment.trustRootsConfigMap: a pod that starts by a copy has nobody to ask for the trust roots" }}{{ end }}
{{- $_ := required "copy.classKey is required: the line that tidegate keygen --class-key FILE prints" .classKey }}
{{- $_ = required "copy.existingSecret is required: the Secret with the private class key" .existingSecret -}}
true
{{- end }}
{{- end }}
{{- end }}

{{- define "tidegate.copiesVolume" -}}
- name: copies
  persistentVolumeClaim: {claimName: {{ .Values.copy.existingClaim | default (printf "%s-copies" (include "tidegate.fullname" .)) }}}
{{- end }}

{{/* Fetches what a node needs before its first start; call with (list $ poolName). */}}
{{- define "tidegate.joinContainer" -}}
{{- $root := index . 0 -}}
name: join
image: {{ include "tidegate.image" $root }}
imagePullPolicy: {{ $root.Values.image.pullPolicy }}
command: [/usr/local/bin/tidegate, join]
args:
  - --control-url=http://{{ include "tidegate.fullname" $root }}-control:8081
  - --pool={{ index . 1 }}
  {{- if not (include "tidegate.byAccount" $root) }}
  - --seed-file=/run/secrets/enrolment/{{ $root.Values.enrolment.key }}
  {{- end }}
  - --state-dir=/var/lib/tidegate/node
  - --out=/var/lib/tidegate/join
securityContext: {{- include "tidegate.containerSecurity" $root | nindent 2 }}
resources: {{- toYaml $root.Values.migrations.resources | nindent 2 }}
volumeMounts:
  - {name: state, mountPath: /var/lib/tidegate}
  {{- if not (include "tidegate.byAccount" $root) }}
  - {name: enrolment, mountPath: /run/secrets/enrolment, readOnly: true}
  {{- end }}
{{- end }}

{{/* By what a node enrols: a volume of the pod. */}}
{{- define "tidegate.enrolmentVolume" -}}
{{- if include "tidegate.byAccount" . }}
- name: account
  projected:
    defaultMode: 0440
    sources:
      - serviceAccountToken: {path: token, audience: {{ .Values.enrolment.audience | quote }}, expirationSeconds: 3600}
{{- else }}
- name: enrolment
  secret: {secretName: {{ include "tidegate.enrolmentSecret" . }}, defaultMode: 0440}
{{- end }}
{{- end }}

{{- define "tidegate.byProxy" -}}
{{- if or .Values.egressProxy.url .Values.egressProxy.existingSecret }}true{{ end }}
{{- end }}

{{/* The egress proxy, for the environment of what calls out. */}}
{{- define "tidegate.proxyEnv" -}}
{{- with .Values.egressProxy }}
{{- if .existingSecret }}
- name: TIDEGATE_UPSTREAM__PROXY
  valueFrom: {secretKeyRef: {name: {{ .existingSecret }}, key: {{ .urlKey }}}}
{{- else if .url }}
- name: TIDEGATE_UPSTREAM__PROXY
  value: {{ .url | quote }}
{{- end }}
{{- if and .resolves (include "tidegate.byProxy" $) }}
- name: TIDEGATE_UPSTREAM__PROXY_RESOLVES
  value: "true"
{{- end }}
{{- end }}
{{- end }}

{{- define "tidegate.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* Names of the Secrets: given ones, or those that the chart makes and keeps. */}}
{{- define "tidegate.encryptionSecret" -}}
{{ default (printf "%s-encryption" (include "tidegate.fullname" .)) .Values.encryption.existingSecret }}
{{- end }}
{{- define "tidegate.adminSecret" -}}
{{ default (printf "%s-admin" (include "tidegate.fullname" .)) .Values.admin.existingSecret }}
{{- end }}
{{- define "tidegate.enrolmentSecret" -}}
{{ default (printf "%s-enrolment" (include "tidegate.fullname" .)) .Values.enrolment.existingSecret }}
{{- end }}
{{- define "tidegate.databaseSecret" -}}
{{ default (printf "%s-dev-database" (include "tidegate.fullname" .)) .Values.database.existingSecret }}
{{- end }}
{{- define "tidegate.tlsSecret" -}}
{{ if eq .Values.tls.mode "existingSecret" }}{{ .Values.tls.existingSecret }}{{ else }}{{ include "tidegate.fullname" . }}-gateway-tls{{ end }}
{{- end }}

{{/* A pool with the defaults filled in, as JSON; call with (list $ pool). */}}
{{- define "tidegate.pool" -}}
{{- $root := index . 0 }}{{ $pool := index . 1 -}}
{{- mergeOverwrite (deepCopy $root.Values.poolDefaults) (deepCopy $pool) | toJson }}
{{- end }}

{{/* Name of a pool's objects; call with (list $ poolName). */}}
{{- define "tidegate.poolName" -}}
{{ include "tidegate.fullname" (index . 0) }}-node-{{ index . 1 }}
{{- end }}

{{- define "tidegate.publicUrl" -}}
{{- if .Values.controlPlane.publicUrl }}{{ .Values.controlPlane.publicUrl }}
{{- else if .Values.adminIngress.enabled }}http{{ if .Values.adminIngress.tlsSecret }}s{{ end }}://{{ .Values.adminIngress.host }}
{{- else }}http://{{ include "tidegate.fullname" . }}-control:8081{{ end }}
{{- end }}

{{/* Names by which nodes reach the gRPC listener. */}}
{{- define "tidegate.grpcNames" -}}
{{- $name := printf "%s-control" (include "tidegate.fullname" .) -}}
{{- $names := list "localhost" "127.0.0.1" $name (printf "%s.%s" $name .Release.Namespace) (printf "%s.%s.svc" $name .Release.Namespace) (printf "%s.%s.svc.cluster.local" $name .Release.Namespace) -}}
{{- concat $names .Values.controlPlane.extraGrpcNames | toJson }}
{{- end }}

{{/* Environment of everything that opens the database as the control plane. */}}
{{/* Who kept the key-encryption key before, with the defaults of whoever keeps it now; as JSON, empty when nobody did. */}}
{{- define "tidegate.previousKeeper" -}}
{{- with .Values.encryption.previous }}
{{- $defaults := dict "existingSecret" "" "key" "key-encryption-key"
      "vault" (dict "address" "" "mount" "transit" "key" "" "namespace" "" "role" "" "authMount" "kubernetes" "audience" "" "tokenSecret" "" "tokenKey" "token" "caSecret" "" "caKey" "ca.crt")
      "kms" (dict "region" "" "key" "" "role" "" "audience" "sts.amazonaws.com" "existingSecret" "" "accessKeyIdKey" "access-key-id" "secretAccessKeyKey" "secret-access-key" "endpoint" "" "stsEndpoint" "" "caSecret" "" "caKey" "ca.crt") }}
{{- mergeOverwrite $defaults (deepCopy .) | toJson }}
{{- end }}
{{- end }}

{{/* A keeper's section of the process configuration; call with (list encryption prefix), prefix "" or "previous_". */}}
{{- define "tidegate.keeperToml" -}}
{{- $encryption := index . 0 }}{{ $prefix := index . 1 }}
{{- if eq $encryption.keeper "vault" }}
{{- with $encryption.vault }}

[encryption.{{ $prefix }}vault]
address = {{ .address | quote }}
mount = {{ .mount | quote }}
key = {{ .key | quote }}
{{- with .namespace }}
namespace = {{ . | quote }}
{{- end }}
{{- if .role }}
kubernetes_role = {{ .role | quote }}
kubernetes_mount = {{ .authMount | quote }}
kubernetes_token_file = "/run/secrets/{{ $prefix }}vault/account"
{{- else }}
token_file = "/run/secrets/{{ $prefix }}vault/token"
{{- end }}
{{- if .caSecret }}
ca_file = "/run/secrets/{{ $prefix }}vault/ca.crt"
{{- end }}
{{- end }}
{{- else if eq $encryption.keeper "kms" }}
{{- with $encryption.kms }}

[encryption.{{ $prefix }}kms]
region = {{ .region | quote }}
key = {{ .key | quote }}
{{- if .role }}
role = {{ .role | quote }}
token_file = "/run/secrets/{{ $prefix }}kms/account"
{{- else }}
secret_access_key_file = "/run/secrets/{{ $prefix }}kms/secret-access-key"
{{- end }}
{{- with .endpoint }}
endpoint = {{ . | quote }}
{{- end }}
{{- with .stsEndpoint }}
sts_endpoint = {{ . | quote }}
{{- end }}
{{- if .caSecret }}
ca_file = "/run/secrets/{{ $prefix }}kms/ca.crt"
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* The volume with what a keeper is asked by: tokens, roots; call with (list encryption prefix). */}}
{{- define "tidegate.keeperVolume" -}}
{{- $encryption := index . 0 }}{{ $prefix := index . 1 }}
{{- if ne $encryption.keeper "secret" }}
{{- $keeper := index $encryption $encryption.keeper }}
- name: {{ $prefix | replace "_" "-" }}{{ $encryption.keeper }}
  projected:
    defaultMode: 0440
    sources:
      {{- if $keeper.role }}
      - serviceAccountToken:
          path: account
          expirationSeconds: 3600
          {{- with $keeper.audience }}
          audience: {{ . | quote }}
          {{- end }}
      {{- else if eq $encryption.keeper "vault" }}
      - secret:
          name: {{ $keeper.tokenSecret }}
          items: [{key: {{ $keeper.tokenKey }}, path: token}]
      {{- else }}
      - secret:
          name: {{ $keeper.existingSecret }}
          items: [{key: {{ $keeper.secretAccessKeyKey }}, path: secret-access-key}]
      {{- end }}
      {{- with $keeper.caSecret }}
      - secret:
          name: {{ . }}
          items: [{key: {{ $keeper.caKey }}, path: ca.crt}]
      {{- end }}
{{- end }}
{{- end }}

{{/* Its mount. */}}
{{- define "tidegate.keeperMount" -}}
{{- $encryption := index . 0 }}{{ $prefix := index . 1 }}
{{- if ne $encryption.keeper "secret" }}
- {name: {{ $prefix | replace "_" "-" }}{{ $encryption.keeper }}, mountPath: /run/secrets/{{ $prefix }}{{ $encryption.keeper }}, readOnly: true}
{{- end }}
{{- end }}

{{/* What of it comes by the environment; call with (list root encryption prefix). */}}
{{- define "tidegate.keeperEnv" -}}
{{- $root := index . 0 }}{{ $encryption := index . 1 }}{{ $prefix := index . 2 }}
{{- if eq $encryption.keeper "secret" }}
- name: TIDEGATE_ENCRYPTION__{{ upper $prefix }}KEY
  valueFrom: {secretKeyRef: {name: {{ $encryption.existingSecret | default (printf "%s-encryption" (include "tidegate.fullname" $root)) }}, key: {{ $encryption.key }}}}
{{- else if and (eq $encryption.keeper "kms") (not $encryption.kms.role) }}
- name: TIDEGATE_ENCRYPTION__{{ upper $prefix }}KMS__ACCESS_KEY_ID
  valueFrom: {secretKeyRef: {name: {{ $encryption.kms.existingSecret }}, key: {{ $encryption.kms.accessKeyIdKey }}}}
{{- end }}
{{- end }}

{{/* All of a template's parts for whoever keeps the key now and whoever did before; call with (list root template). */}}
{{- define "tidegate.keepers" -}}
{{- $root := index . 0 }}{{ $template := index . 1 }}
{{- include $template (list $root.Values.encryption "") }}
{{- with include "tidegate.previousKeeper" $root }}
{{- include $template (list (fromJson .) "previous_") }}
{{- end }}
{{- end }}

{{/* Ports of the pools' Sentinels and of the nodes of their clusters, a JSON list. */}}
{{- define "tidegate.sentinelPorts" -}}
{{- $found := list }}
{{- range .Values.pools }}
{{- $pool := include "tidegate.pool" (list $ .) | fromJson }}
{{- range concat (default (list) $pool.redis.sentinel.addresses) (default (list) $pool.redis.cluster.addresses) }}{{ $found = append $found (regexFind "[0-9]+$" . | int) }}{{ end }}
{{- end }}
{{- $found | uniq | toJson }}
{{- end }}

{{/* Ports on which keepers elsewhere are asked, a JSON list. */}}
{{- define "tidegate.keeperPorts" -}}
{{- $ports := list }}
{{- $all := list .Values.encryption }}
{{- with include "tidegate.previousKeeper" . }}{{ $all = append $all (fromJson .) }}{{ end }}
{{- range $all }}
{{- if eq .keeper "vault" }}{{ $ports = append $ports .vault.address }}
{{- else if eq .keeper "kms" }}{{ $ports = concat $ports (list (default "https://kms" .kms.endpoint) (default "https://sts" .kms.stsEndpoint)) }}{{ end }}
{{- end }}
{{- $found := list }}
{{- range $ports }}
{{- $port := regexFind ":[0-9]+/?$" . | trimPrefix ":" | trimSuffix "/" | default "443" }}
{{- $found = append $found (int $port) }}
{{- end }}
{{- $found | uniq | toJson }}
{{- end }}

{{/* A keeper has what it needs, and nothing is given for another one; call with (list encryption path). */}}
{{- define "tidegate.checkKeeper" -}}
{{- $encryption := index . 0 }}{{ $path := index . 1 }}
{{- range $other, $given := dict "vault" (list $encryption.vault.address $encryption.vault.key $encryption.vault.role $encryption.vault.tokenSecret) "kms" (list $encryption.kms.region $encryption.kms.key $encryption.kms.role $encryption.kms.existingSecret) }}
{{- if and (ne $other $encryption.keeper) (compact $given) }}
{{- fail (printf "%s.%s is given, but %s.keeper is %s" $path $other $path $encryption.keeper) }}
{{- end }}
{{- end }}
{{- if eq $encryption.keeper "vault" }}
{{- with $encryption.vault }}
{{- if not (and .address .key .mount) }}{{ fail (printf "%s.keeper=vault needs %s.vault.address, mount and key" $path $path) }}{{ end }}
{{- if eq (not .role) (not .tokenSecret) }}{{ fail (printf "%s.vault: give one of role and tokenSecret" $path) }}{{ end }}
{{- end }}
{{- else if eq $encryption.keeper "kms" }}
{{- with $encryption.kms }}
{{- if not (and .region .key) }}{{ fail (printf "%s.keeper=kms needs %s.kms.region and %s.kms.key" $path $path $path) }}{{ end }}
{{- if eq (not .role) (not .existingSecret) }}{{ fail (printf "%s.kms: give one of role and existingSecret" $path) }}{{ end }}
{{- end }}
{{- end }}
{{- if and (ne $encryption.keeper "secret") $encryption.existingSecret }}
{{- fail (printf "%s.existingSecret is given, but %s.keeper is %s" $path $path $encryption.keeper) }}
{{- end }}
{{- end }}

{{- define "tidegate.controlEnv" -}}
- name: TIDEGATE_DATABASE__URL
  valueFrom: {secretKeyRef: {name: {{ include "tidegate.databaseSecret" . }}, key: {{ .Values.database.urlKey }}}}
- name: TIDEGATE_DATABASE__FEED_URL
  valueFrom: {secretKeyRef: {name: {{ include "tidegate.databaseSecret" . }}, key: {{ .Values.database.feedUrlKey }}}}
{{- include "tidegate.keeperEnv" (list . .Values.encryption "") }}
{{- with include "tidegate.previousKeeper" . }}
{{- include "tidegate.keeperEnv" (list $ (fromJson .) "previous_") }}
{{- end }}
{{- end }}

{{/* What a control plane's own container mounts. */}}
{{- define "tidegate.controlMounts" -}}
- {name: config, mountPath: /etc/tidegate, readOnly: true}
{{- if include "tidegate.copies" . }}
- {name: copies, mountPath: /var/lib/tidegate-copies}
{{- end }}
{{- with include "tidegate.keepers" (list . "tidegate.keeperMount") | trim }}
{{ . }}
{{- end }}
{{- if include "tidegate.byAccount" . }}
- {name: api-server, mountPath: /run/secrets/api-server, readOnly: true}
{{- end }}
{{- if or .Values.controlPlane.upstream.extraCaSecret .Values.controlPlane.upstream.extraCaConfigMap }}
- {name: extra-ca, mountPath: /etc/tidegate-ca, readOnly: true}
{{- end }}
{{- end }}

{{- define "tidegate.controlVolumes" -}}
- name: config
  configMap: {name: {{ include "tidegate.fullname" . }}-control}
{{- if include "tidegate.copies" . }}
{{ include "tidegate.copiesVolume" . }}
{{- end }}
{{- with include "tidegate.keepers" (list . "tidegate.keeperVolume") | trim }}
{{ . }}
{{- end }}
{{- with .Values.controlPlane.upstream }}
{{- if .extraCaSecret }}
- name: extra-ca
  secret: {secretName: {{ .extraCaSecret }}}
{{- else if .extraCaConfigMap }}
- name: extra-ca
  configMap: {name: {{ .extraCaConfigMap }}}
{{- end }}
{{- end }}
{{- if include "tidegate.byAccount" . }}
# Its own token and the cluster's roots, to have nodes' tokens reviewed.
- name: api-server
  projected:
    defaultMode: 0440
    sources:
      - serviceAccountToken: {path: token, expirationSeconds: 3600}
      - configMap:
          name: kube-root-ca.crt
          items: [{key: ca.crt, path: ca.crt}]
{{- end }}
{{- end }}

{{- define "tidegate.migrateContainer" -}}
name: migrate
image: {{ include "tidegate.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
command: [/usr/local/bin/tidegate, migrate]
env:
  - name: TIDEGATE_DATABASE__MIGRATE_URL
    valueFrom: {secretKeyRef: {name: {{ include "tidegate.databaseSecret" . }}, key: {{ .Values.database.migrateUrlKey }}}}
securityContext: {{- include "tidegate.containerSecurity" . | nindent 2 }}
resources: {{- toYaml .Values.migrations.resources | nindent 2 }}
{{- end }}

{{/* Spread over machines and zones; call with (list $ given component pool-or-empty). */}}
{{- define "tidegate.spread" -}}
{{- $root := index . 0 }}{{ $given := index . 1 }}{{ $labels := index . 2 -}}
{{- if kindIs "slice" $given }}{{ toYaml $given }}
{{- else -}}
{{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
- maxSkew: 1
  topologyKey: {{ . }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels: {{- $labels | nindent 6 }}
{{- end }}
{{- end }}
{{- end }}

{{/* What the schema cannot say. */}}
{{- define "tidegate.check" -}}
{{- if and (not .Values.database.existingSecret) (not .Values.devDatabase.enabled) }}
{{- fail "database.existingSecret is required: a Secret with the keys url, feed-url and migrate-url (or devDatabase.enabled=true for a trial)" }}
{{- end }}
{{- include "tidegate.checkKeeper" (list .Values.encryption "encryption") }}
{{- with include "tidegate.previousKeeper" . }}
{{- $previous := fromJson . }}
{{- include "tidegate.checkKeeper" (list $previous "encryption.previous") }}
{{- if and (eq $previous.keeper "secret") (eq $.Values.encryption.keeper "secret") (eq $previous.existingSecret $.Values.encryption.existingSecret) (eq $previous.key $.Values.encryption.key) }}
{{- fail "encryption.previous is what encryption itself names" }}
{{- end }}
{{- end }}
{{- if and (eq .Values.migrations.mode "hook") (not .Values.database.existingSecret) }}
{{- fail "migrations.mode=hook runs before the release's own Secrets exist: give database.existingSecret, or use startup or job" }}
{{- end }}
{{- if and (eq .Values.tls.mode "existingSecret") (not .Values.tls.existingSecret) }}
{{- fail "tls.mode=existingSecret needs tls.existingSecret, a Secret of type kubernetes.io/tls" }}
{{- end }}
{{- if and (eq .Values.tls.mode "certManager") (not .Values.tls.certManager.issuerRef.name) }}
{{- fail "tls.mode=certManager needs tls.certManager.issuerRef.name" }}
{{- end }}
{{- range list "gatewayIngress" "adminIngress" }}
{{- $ingress := index $.Values . }}
{{- if and $ingress.enabled (not $ingress.host) }}{{ fail (printf "%s.enabled needs %s.host" . .) }}{{ end }}
{{- end }}
{{- if and .Values.egressProxy.url .Values.egressProxy.existingSecret }}
{{- fail "egressProxy: give url or existingSecret, not both" }}
{{- end }}
{{- if and .Values.egressProxy.resolves (not (include "tidegate.byProxy" .)) }}
{{- fail "egressProxy.resolves needs egressProxy.url or egressProxy.existingSecret" }}
{{- end }}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) }}
{{- fail "httpRoute.enabled needs httpRoute.parentRefs" }}
{{- end }}
{{- $seen := dict }}{{ $redises := dict }}{{ $accounts := dict }}
{{- range .Values.pools }}
{{- if hasKey $seen .name }}{{ fail (printf "pools: the name %q is there twice" .name) }}{{ end }}
{{- $_ := set $seen .name true }}
{{- $pool := include "tidegate.pool" (list $ .) | fromJson }}
{{- with $pool.redis.existingSecret }}
{{- $redis := printf "%s/%s" . $pool.redis.urlKey }}
{{- if hasKey $redises $redis }}{{ fail (printf "pools: %q and %q have the same Redis (%s): the counters of one would burn those of the other" (get $redises $redis) $pool.name $redis) }}{{ end }}
{{- $_ := set $redises $redis $pool.name }}
{{- end }}
{{- with $pool.redis.sentinel }}
{{- if ne (not .addresses) (not .group) }}{{ fail (printf "pools: %q: redis.sentinel needs both addresses and group" $pool.name) }}{{ end }}
{{- if and .addresses (not $pool.redis.existingSecret) }}{{ fail (printf "pools: %q: redis.sentinel needs redis.existingSecret, a Secret with the URL whose user and password the servers take" $pool.name) }}{{ end }}
{{- end }}
{{- if $pool.redis.cluster.addresses }}
{{- if $pool.redis.sentinel.addresses }}{{ fail (printf "pools: %q: give one of redis.sentinel and redis.cluster" $pool.name) }}{{ end }}
{{- if not $pool.redis.existingSecret }}{{ fail (printf "pools: %q: redis.cluster needs redis.existingSecret, a Secret with the URL whose user and password its nodes take" $pool.name) }}{{ end }}
{{- end }}
{{- if and $pool.redis.caSecret (not $pool.redis.existingSecret) }}{{ fail (printf "pools: %q: redis.caSecret needs redis.existingSecret" $pool.name) }}{{ end }}
{{- if include "tidegate.byAccount" $ }}
{{- $account := include "tidegate.nodeAccount" (list $ $pool) }}
{{- if hasKey $accounts $account }}{{ fail (printf "pools: %q and %q have the same service account (%s): nodes of one could join the other; give each its serviceAccountName" (get $accounts $account) $pool.name $account) }}{{ end }}
{{- $_ := set $accounts $account $pool.name }}
{{- end }}
{{- $several := or (gt (int $pool.replicas) 1) $pool.autoscaling.enabled }}
{{- if and $several (not $pool.redis.existingSecret) (not $.Values.devDatabase.enabled) }}
{{- fail (printf "pools: %q has more than one node and no redis.existingSecret: limits and budgets are counted in a Redis of the pool" .name) }}
{{- end }}
{{- if and $pool.autoscaling.enabled (lt (int $pool.autoscaling.maxReplicas) (int $pool.replicas)) }}
{{- fail (printf "pools: %q: autoscaling.maxReplicas is less than replicas" .name) }}
{{- end }}
{{- end }}
{{- with first .Values.pools }}
{{- if or (hasKey . "ingress") (hasKey . "httpRoute") }}{{ fail (printf "pools: %q is the first one: its Ingress is gatewayIngress, its HTTPRoute httpRoute" .name) }}{{ end }}
{{- end }}
{{- range rest .Values.pools }}
{{- if and .httpRoute (not (dig "httpRoute" "parentRefs" $.Values.httpRoute.parentRefs .)) }}{{ fail (printf "pools: %q: httpRoute needs parentRefs, its own or httpRoute.parentRefs" .name) }}{{ end }}
{{- end }}
{{- range .Values.orphanedJournals }}
{{- $name := .pool }}{{ $found := false }}
{{- $ordinals := .ordinals }}
{{- range $.Values.pools }}
{{- if eq .name $name }}
{{- $found = true }}
{{- $replicas := int (include "tidegate.pool" (list $ .) | fromJson).replicas }}
{{- range $ordinals }}
{{- if lt (int .) $replicas }}{{ fail (printf "orphanedJournals: the volume of ordinal %d of pool %q is in use: the pool has %d nodes, which ship their own journals" (int .) $name $replicas) }}{{ end }}
{{- end }}
{{- if not (include "tidegate.pool" (list $ .) | fromJson).persistence.enabled }}{{ fail (printf "orphanedJournals: the pool %q has no volumes that could hold any" $name) }}{{ end }}
{{- end }}
{{- end }}
{{- if not $found }}{{ fail (printf "orphanedJournals: there is no pool %q in pools" $name) }}{{ end }}
{{- end }}
{{- if lt (int .Values.nodes.drainTimeoutSeconds) (int .Values.nodes.longestCallSeconds) }}
{{- fail (printf "nodes.drainTimeoutSeconds is %d, but a call may take %d s: streams would be cut at each upgrade. Give more, or nodes.longestCallSeconds where policies and routes allow less (total_timeout_ms)" (int .Values.nodes.drainTimeoutSeconds) (int .Values.nodes.longestCallSeconds)) }}
{{- end }}
{{- $least := add (int .Values.nodes.preStopSeconds) (int .Values.nodes.drainTimeoutSeconds) 40 }}
{{- with .Values.nodes.terminationGracePeriodSeconds }}
{{- if lt (int .) (int $least) }}
{{- fail (printf "nodes.terminationGracePeriodSeconds must be %d at least: preStopSeconds + drainTimeoutSeconds + 40 to let callers go, settle and ship; streams would be cut" (int $least)) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Private targets as the process configuration lists them. */}}
{{- define "tidegate.privateTargets" -}}
{{- range . }}

[[upstream.private]]
cidr = {{ .cidr | quote }}
{{- with .ports }}
ports = {{ toJson . }}
{{- end }}
{{- if .http }}
http = true
{{- end }}
{{- with .organizations }}
organizations = {{ toJson . }}
{{- end }}
{{- end }}
{{- end }}

{{- /* `helm upgrade --reuse-values` brings the defaults of the chart before. files/defaults.yaml has what an earlier
chart did not know, and only what of that is lacking is taken from it: what was set to null stays away. A release that was made
with this chart's own values is left as it is. A chart that knew no method of enrolment knew the seed: its nodes keep it. */}}
{{- define "tidegate.fresh" }}
{{- $defaults := .Files.Get "files/defaults.yaml" | fromYaml }}
{{- if ne (get .Values "valuesOf" | toString) $defaults.valuesOf }}
{{- $enrolment := get .Values "enrolment" }}
{{- if and (kindIs "map" $enrolment) (not (hasKey $enrolment "method")) }}
{{- $_ := set $enrolment "method" "seed" }}
{{- end }}
{{- include "tidegate.fill" (list .Values $defaults) }}
{{- $_ := set .Values "valuesOf" $defaults.valuesOf }}
{{- end }}
{{- end }}

{{- define "tidegate.fill" }}
{{- $values := index . 0 }}
{{- range $name, $default := index . 1 }}
{{- if not (hasKey $values $name) }}
{{- $_ := set $values $name $default }}
{{- else if and (kindIs "map" $default) (kindIs "map" (get $values $name)) }}
{{- include "tidegate.fill" (list (get $values $name) $default) }}
{{- end }}
{{- end }}
{{- end }}
