{{/* Names in the gateway's certificate, a JSON list. */}}
{{- define "tidegate.certificateNames" -}}
{{- $names := concat (default (list) .Values.tls.extraNames) (list .Values.gatewayIngress.host .Values.tls.serverName | compact) }}
{{- range .Values.pools }}
{{- $name := include "tidegate.poolName" (list $ .name) }}
{{- with dig "ingress" "host" "" . }}{{ $names = append $names . }}{{ end }}
{{- $names = concat $names (list $name (printf "%s.%s" $name $.Release.Namespace) (printf "%s.%s.svc" $name $.Release.Namespace) (printf "%s.%s.svc.cluster.local" $name $.Release.Namespace)) }}
{{- end }}
{{- $names | uniq | toJson }}
{{- end }}

{{/* The name by which the first pool's gateway is asked for over TLS. */}}
{{- define "tidegate.serverName" -}}
{{ .Values.tls.serverName | default (printf "%s.%s.svc" (include "tidegate.poolName" (list . (first .Values.pools).name)) .Release.Namespace) }}
{{- end }}

{{/* Name of what holds the generated authority: a Secret with its key, a ConfigMap with its certificate alone. */}}
{{- define "tidegate.generatedCa" -}}
{{ include "tidegate.fullname" . }}-gateway-ca
{{- end }}

{{/* ConfigMap whose ca.crt vouches for the gateway's certificate; empty: the public roots do. */}}
{{- define "tidegate.caConfigMap" -}}
{{- if .Values.tls.caConfigMap }}{{ .Values.tls.caConfigMap }}
{{- else if eq .Values.tls.mode "generated" }}{{ include "tidegate.generatedCa" . }}{{ end }}
{{- end }}

{{/* How long something generated lasts, as annotations; call with (list days). */}}
{{- define "tidegate.lasts" -}}
{{- $days := index . 0 -}}
tidegate/expires: {{ dateInZone "2006-01-02T15:04:05Z07:00" (now | dateModify (printf "%dh" (mul 24 $days))) "UTC" | quote }}
tidegate/renew-after: {{ dateInZone "2006-01-02T15:04:05Z07:00" (now | dateModify (printf "%dh" (mul 16 $days))) "UTC" | quote }}
{{- end }}

{{/* Whether the time in an annotation has come; call with (list annotations name). */}}
{{- define "tidegate.past" -}}
{{- with get (index . 0) (index . 1) }}
{{- if ge (now | unixEpoch | int64) (toDate "2006-01-02T15:04:05Z07:00" . | unixEpoch | int64) }}true{{ end }}
{{- end }}
{{- end }}

{{/* Puts what `tls.mode: generated` needs into .Values.generatedTls, once for all templates: the cluster's own where it still
holds, otherwise new. The authority lasts three times as long as a certificate; each is replaced in the last third of its days. */}}
{{- define "tidegate.generateTls" }}
{{- if not (hasKey .Values "generatedTls") }}
{{- $full := include "tidegate.fullname" . }}
{{- $days := int .Values.tls.days }}
{{- $names := include "tidegate.certificateNames" . | fromJsonArray }}
{{- $keptCa := lookup "v1" "Secret" .Release.Namespace (include "tidegate.generatedCa" .) }}
{{- $kept := lookup "v1" "Secret" .Release.Namespace (include "tidegate.tlsSecret" .) }}
{{- $caNotes := dig "metadata" "annotations" (dict) $keptCa | default dict }}
{{- $notes := dig "metadata" "annotations" (dict) $kept | default dict }}
{{- $caData := dig "data" (dict) $keptCa | default dict }}
{{- $data := dig "data" (dict) $kept | default dict }}
{{- $found := dict "names" ($names | sortAlpha | join ",") "newCa" false }}
{{- $ca := dict }}
{{- if and (hasKey $caData "ca.key") (not (include "tidegate.past" (list $caNotes "tidegate/renew-after"))) }}
{{- $ca = buildCustomCert (get $caData "ca.crt") (get $caData "ca.key") }}
{{- $_ := set $found "caNotes" (pick $caNotes "tidegate/expires" "tidegate/renew-after") }}
{{- else }}
{{- $caDays := min (mul 3 $days) 36500 }}
{{- $ca = genCA (printf "%s gateway CA" $full) (int $caDays) }}
{{- $_ := set $found "caNotes" (include "tidegate.lasts" (list $caDays) | fromYaml) }}
{{- $_ := set $found "newCa" (hasKey $data "tls.key") }}
{{- end }}
{{- $_ := set $found "ca" ($ca.Cert | b64enc) }}
{{- $_ := set $found "caKey" ($ca.Key | b64enc) }}
{{- $same := and (eq (get $data "ca.crt") $found.ca) (eq (get $notes "tidegate/names") $found.names) }}
{{- if and (hasKey $data "tls.key") $same (not (include "tidegate.past" (list $notes "tidegate/renew-after"))) }}
{{- $_ := set $found "notes" (pick $notes "tidegate/expires" "tidegate/renew-after") }}
{{- $_ := set $found "certificate" (get $data "tls.crt") }}
{{- $_ := set $found "key" (get $data "tls.key") }}
{{- else }}
{{- /* Nothing outlives its authority. */}}
{{- with get $found.caNotes "tidegate/expires" }}
{{- $left := div (sub (toDate "2006-01-02T15:04:05Z07:00" . | unixEpoch | int64) (now | unixEpoch | int64)) 86400 }}
{{- $days = max 1 (min $days $left) | int }}
{{- end }}
{{- $made := genSignedCert (first $names) nil $names $days $ca }}
{{- $_ := set $found "notes" (include "tidegate.lasts" (list $days) | fromYaml) }}
{{- $_ := set $found "certificate" ($made.Cert | b64enc) }}
{{- $_ := set $found "key" ($made.Key | b64enc) }}
{{- end }}
{{- $_ := set .Values "generatedTls" $found }}
{{- end }}
{{- end }}
