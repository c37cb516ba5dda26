{{/* The name of all objects: that of the release, which usually is `kargoweb`. */}}
{{- define "kargoweb.name" -}}
{{- if contains "kargoweb" .Release.Name }}{{ .Release.Name }}{{ else }}{{ printf "%s-kargoweb" .Release.Name }}{{ end -}}
{{- end }}

{{- define "kargoweb.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (include "kargoweb.name" .) }}
{{- end }}

{{- define "kargoweb.selector" -}}
app.kubernetes.io/name: kargoweb
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* The paths of the receiver URLs of some kinds, as JSON. */}}
{{- define "kargoweb.kindPaths" -}}
{{- $paths := list }}
{{- range . }}{{ $paths = append $paths (printf "/%s/" .) }}{{ end }}
{{- $paths | toJson }}
{{- end }}

{{- define "kargoweb.labels" -}}
{{ include "kargoweb.selector" . }}
app.kubernetes.io/part-of: kargoweb
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* The roles of the pods, by the name of their values, which is also their component: it stays when roles are split. */}}
{{- define "kargoweb.roles" -}}
{{- if .Values.splitRoles }}receiver: receiver
dashboard: dashboard
{{- else }}receiver: all
{{- end }}
{{- end }}

{{/* The Service that has the pages. */}}
{{- define "kargoweb.dashboardService" -}}
{{ include "kargoweb.name" . }}{{ if .Values.splitRoles }}-dashboard{{ end }}
{{- end }}

{{- define "kargoweb.image" -}}
{{- $repository := required "image.repository must be your image of kargoweb, without a tag" .Values.image.repository -}}
{{- if .Values.image.digest }}{{ printf "%s@%s" $repository .Values.image.digest }}
{{- else }}{{ printf "%s:%s" $repository (.Values.image.tag | default .Chart.AppVersion) }}
{{- end }}
{{- end }}

{{/* Fail with one readable line on values that don't go together. */}}
{{- define "kargoweb.check" -}}
{{- $sqlite := eq .Values.database.type "sqlite" -}}
{{- if and .Values.splitRoles $sqlite }}{{ fail "splitRoles needs database.type=postgresql: pods can't share a SQLite file" }}{{ end }}
{{- if and $sqlite (gt (int .Values.receiver.replicas) 1) }}{{ fail "receiver.replicas above 1 needs database.type=postgresql: SQLite has one writer" }}{{ end }}
{{- if and $sqlite .Values.receiver.autoscaling.enabled }}{{ fail "receiver.autoscaling needs database.type=postgresql: SQLite has one writer" }}{{ end }}
{{- if and .Values.metrics.serviceMonitor.enabled (not .Values.metrics.enabled) }}{{ fail "metrics.serviceMonitor.enabled needs metrics.enabled=true" }}{{ end }}
{{- end }}
