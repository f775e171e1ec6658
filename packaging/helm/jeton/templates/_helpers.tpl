{{- define "jeton.selector" -}}
app.kubernetes.io/name: jeton
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "jeton.labels" -}}
{{ include "jeton.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{- define "jeton.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- /* What no schema can say. */ -}}
{{- define "jeton.check" -}}
{{- if and (gt (int .Values.replicas) 1) (not .Values.database.secret) -}}
{{- fail "replicas: SQLite has one server; name the Secret of a PostgreSQL database in database.secret" -}}
{{- end -}}
{{- if and .Values.database.secret (not (get .Values.config "keys_secret_file")) -}}
{{- fail "config.keys_secret_file: pods of one database need the same secret; name a file of secrets" -}}
{{- end -}}
{{- $admin := get .Values.config "admin" | default dict -}}
{{- if and .Values.monitoring.enabled (not (and (get $admin "listen") (get $admin "allow"))) -}}
{{- fail "monitoring: set config.admin.listen, and config.admin.allow to the network of Prometheus" -}}
{{- end -}}
{{- end }}
