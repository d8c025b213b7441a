{{/* Most bytes of journal: given, or four fifths of the volume (2 GiB without one); call with (list $ pool). */}}
{{- define "tidegate.journalBytes" -}}
{{- $root := index . 0 }}{{ $pool := index . 1 -}}
{{- if $root.Values.nodes.journalMaxBytes }}{{ int64 $root.Values.nodes.journalMaxBytes }}
{{- else if not $pool.persistence.enabled }}2147483648
{{- else }}
{{- $number := regexFind "^[0-9]+" $pool.persistence.size | int64 }}
{{- $unit := regexFind "[A-Z][i]?$" $pool.persistence.size }}
{{- $factor := get (dict "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "M" 1000000 "G" 1000000000 "T" 1000000000000) $unit | int64 }}
{{- div (mul $number $factor 4) 5 }}
{{- end }}
{{- end }}
