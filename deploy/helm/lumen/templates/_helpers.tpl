{{- define "lumen.name" -}}
{{- if contains "lumen" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-lumen" .Release.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "lumen.image" -}}
{{- if .Values.image.digest }}{{ .Values.image.repository }}@{{ .Values.image.digest }}{{ else }}{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{/* (dict "root" $ "component" "edge") */}}
{{- define "lumen.selector" -}}
app.kubernetes.io/name: lumen
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "lumen.labels" -}}
{{ include "lumen.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{/* Ports by component: what it serves, and its operator's port. */}}
{{- define "lumen.port" -}}
{{- get (dict "edge" "7080" "auth" "7087" "router" "7088" "billing" "7089" "billing-queries" "7085" "console" "7081") . }}
{{- end }}
{{- define "lumen.opsPort" -}}9090{{- end }}

{{/* The time a stream may take, its flush (30 s) and what the loop needs to close, after the endpoint's removal. */}}
{{- define "lumen.edgeGraceS" -}}
{{ add .Values.endpointRemovalS .Values.longestStreamS 60 }}
{{- end }}

{{/* What all five pods have. enableServiceLinks: Kubernetes would otherwise set LUMEN_AUTH_PORT and others to URLs. */}}
{{- define "lumen.podShell" -}}
serviceAccountName: {{ include "lumen.name" .root }}-{{ .component }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets: {{ toJson . }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- if .root.Values.priorityClasses.create }}
priorityClassName: {{ include "lumen.name" .root }}-{{ if has .component (list "auth" "billing" "edge") }}serving{{ else }}support{{ end }}
{{- end }}
{{- with .root.Values.scheduling.nodeSelector }}
nodeSelector: {{ toJson . }}
{{- end }}
{{- with .root.Values.scheduling.tolerations }}
tolerations: {{ toJson . }}
{{- end }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: topology.kubernetes.io/zone
    whenUnsatisfiable: {{ .root.Values.topology.zones }}
    labelSelector:
      matchLabels:
        {{- include "lumen.selector" . | nindent 8 }}
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: {{ .root.Values.topology.nodes }}
    labelSelector:
      matchLabels:
        {{- include "lumen.selector" . | nindent 8 }}
{{- end }}

{{- define "lumen.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Startup: the operator's port opens once NATS has answered (60 s at most, then the process exits by itself).
     Live: the event loop answers; never a dependency, for a restart mends none. Ready: may take traffic. */}}
{{- define "lumen.probes" -}}
startupProbe:
  httpGet: {path: /healthz, port: ops}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /healthz, port: ops}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: ops}
  periodSeconds: 3
  timeoutSeconds: 2
  failureThreshold: 2
{{- end }}

{{- define "lumen.ports" -}}
- {name: {{ if has .component (list "edge" "console") }}http{{ else }}grpc{{ end }}, containerPort: {{ include "lumen.port" .component }}}
{{- if eq .component "billing" }}
- {name: queries, containerPort: {{ include "lumen.port" "billing-queries" }}}
{{- end }}
- {name: ops, containerPort: {{ include "lumen.opsPort" . }}}
{{- end }}

{{- define "lumen.preStop" -}}
preStop:
  sleep: {seconds: {{ .Values.endpointRemovalS }}}
{{- end }}

{{- define "lumen.secretVariable" -}}
- name: {{ .name }}
  valueFrom: {secretKeyRef: {name: {{ .secret }}, key: {{ .key }}}}
{{- end }}

{{/* Where browsers and clients find what is published, one origin per host name that is no wildcard, blanks between. */}}
{{- define "lumen.origins" -}}
{{- range $host := .hostnames }}{{ if not (hasPrefix "*" $host) }}{{ printf "%s://%s " $.scheme $host }}{{ end }}{{ end }}
{{- end }}

{{- define "lumen.edgeOrigins" -}}
{{- if .Values.gateway.enabled }}{{ include "lumen.origins" (dict "scheme" .Values.gateway.scheme "hostnames" .Values.gateway.hostnames) }}{{ end }}
{{- if .Values.ingress.enabled }}{{ include "lumen.origins" (dict "scheme" (ternary "https" "http" (ne .Values.ingress.tlsSecret "")) "hostnames" (list .Values.ingress.host)) }}{{ end }}
{{- end }}

{{- define "lumen.consoleOrigins" -}}
{{- if .Values.gateway.enabled }}{{ include "lumen.origins" (dict "scheme" .Values.gateway.scheme "hostnames" .Values.gateway.consoleHostnames) }}{{ end }}
{{- end }}

{{/* The variables of a component, then those of its `settings`, which may not repeat one of the chart's. */}}
{{- define "lumen.env" -}}
{{- $root := .root }}{{ $v := .root.Values }}{{ $prefix := printf "LUMEN_%s_" (upper .component) }}{{ $name := include "lumen.name" .root }}
{{- $mine := dict
  "LUMEN_LOG_LEVEL" $v.logLevel
  (print $prefix "HOST") "0.0.0.0"
  (print $prefix "PORT") (include "lumen.port" .component)
  (print $prefix "OPS_HOST") "0.0.0.0"
  (print $prefix "OPS_PORT") (include "lumen.opsPort" .) }}
{{- if and $v.tracing.endpoint (ne .component "console") }}
{{- $_ := set $mine "LUMEN_TRACING" "on" }}
{{- $_ := set $mine "LUMEN_TRACING_SAMPLE_RATIO" ($v.tracing.sampleRatio | toString) }}
{{- $_ := set $mine "OTEL_EXPORTER_OTLP_ENDPOINT" $v.tracing.endpoint }}
{{- end }}
{{- if has .component (list "edge" "console") }}
{{- range $peer := (eq .component "edge" | ternary (list "auth" "router") (list "auth" "router" "billing")) }}
{{- $_ := set $mine (printf "LUMEN_%s_ADDRESS" (upper $peer)) (printf "dns:///%s-%s.%s.svc:%s" $name $peer $root.Release.Namespace (include "lumen.port" $peer)) }}
{{- end }}
{{- end }}
{{- if eq .component "edge" }}
{{- $_ := set $mine "LUMEN_BILLING_QUERIES_ADDRESS" (printf "dns:///%s-billing.%s.svc:%s" $name $root.Release.Namespace (include "lumen.port" "billing-queries")) }}
{{- $_ := set $mine "LUMEN_EDGE_STATE_DIR" "/var/lib/lumen/edge" }}
{{- $_ := set $mine "LUMEN_EDGE_HAS_SPOOL" (eq $v.edge.kind "StatefulSet" | toString) }}
{{- $_ := set $mine "LUMEN_EDGE_SHUTDOWN_DRAIN_S_MAX" ($v.longestStreamS | toString) }}
{{- $_ := set $mine "LUMEN_EDGE_TRUSTED_PROXIES" $v.edge.trustedProxies }}
{{- end }}
{{- if eq .component "auth" }}
{{- $_ := set $mine "LUMEN_AUTH_KV_REPLICAS" ($v.stores.nats.replicas | toString) }}
{{- $_ := set $mine "LUMEN_AUTH_REDIS_REPLICAS_MIN" ($v.stores.redis.replicasMin | toString) }}
{{- $_ := set $mine "LUMEN_AUTH_LEASE_REQUEST_S_MAX" ($v.longestStreamS | toString) }}
{{- end }}
{{- if eq .component "router" }}
{{- $_ := set $mine "LUMEN_ROUTER_KV_REPLICAS" ($v.stores.nats.replicas | toString) }}
{{- end }}
{{- if eq .component "billing" }}
{{- $_ := set $mine "LUMEN_BILLING_QUERIES_PORT" (include "lumen.port" "billing-queries") }}
{{- $_ := set $mine "LUMEN_BILLING_STREAM_REPLICAS" ($v.stores.nats.replicas | toString) }}
{{- $_ := set $mine "LUMEN_BILLING_CLICKHOUSE_ENGINE" $v.stores.clickhouse.engine }}
{{- $_ := set $mine "LUMEN_BILLING_CLICKHOUSE_CLUSTER" $v.stores.clickhouse.cluster }}
{{- end }}
{{- if $v.stores.caBundle.configMap }}
{{- $_ := set $mine "SSL_CERT_FILE" "/etc/lumen/ca/ca.crt" }}
{{- end }}
{{- /* What host names tell; `settings` may say otherwise. */}}
{{- $told := dict }}
{{- $edges := splitList " " (include "lumen.edgeOrigins" $root | trim) | compact }}
{{- $consoles := splitList " " (include "lumen.consoleOrigins" $root | trim) | compact }}
{{- if and (eq .component "console") $edges }}{{ $_ := set $told "LUMEN_CONSOLE_API_URL" (first $edges) }}{{ end }}
{{- if and (eq .component "console") $consoles }}{{ $_ := set $told "LUMEN_CONSOLE_PUBLIC_URL" (first $consoles) }}{{ end }}
{{- if and (eq .component "edge") $consoles }}{{ $_ := set $told "LUMEN_EDGE_CORS_ORIGINS" (join "," $consoles) }}{{ end }}
{{- range $variable, $value := $told }}
{{- if not (hasKey (get $v $.component).settings $variable) }}{{ $_ := set $mine $variable $value }}{{ end }}
{{- end }}
{{- $stores := $v.stores.existingSecret }}{{ $keys := $v.stores.keys }}
{{- if hasKey $keys.nats .component }}
{{ include "lumen.secretVariable" (dict "name" "LUMEN_NATS_URL" "secret" $stores "key" (get $keys.nats .component)) }}
{{- end }}
{{- if has .component (list "auth" "billing") }}
{{ include "lumen.secretVariable" (dict "name" "LUMEN_REDIS_URL" "secret" $stores "key" $keys.redis) }}
{{- end }}
{{- if eq .component "billing" }}
{{ include "lumen.secretVariable" (dict "name" "LUMEN_CLICKHOUSE_URL" "secret" $stores "key" $keys.clickhouse) }}
{{- end }}
{{- if eq .component "console" }}
{{ include "lumen.secretVariable" (dict "name" "LUMEN_CLICKHOUSE_URL" "secret" $stores "key" $keys.clickhouseRead) }}
{{ include "lumen.secretVariable" (dict "name" "LUMEN_ADMIN_TOKEN" "secret" $v.admin.existingSecret "key" $v.admin.key) }}
{{- end }}
{{- range $variable, $value := $mine }}
- {name: {{ $variable }}, value: {{ $value | quote }}}
{{- end }}
{{- range $variable, $value := (get $v .component).settings }}
{{- if hasKey $mine $variable }}{{ fail (printf "%s: the chart sets it; see values.yaml" $variable) }}{{ end }}
- {name: {{ $variable }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}

{{- define "lumen.mounts" -}}
- {name: tmp, mountPath: /tmp}
{{- if .Values.stores.caBundle.configMap }}
- {name: ca, mountPath: /etc/lumen/ca, readOnly: true}
{{- end }}
{{- end }}

{{- define "lumen.volumes" -}}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
{{- if .Values.stores.caBundle.configMap }}
- name: ca
  configMap: {name: {{ .Values.stores.caBundle.configMap }}, items: [{key: {{ .Values.stores.caBundle.key }}, path: ca.crt}]}
{{- end }}
{{- end }}

{{/* A stateless component, whole: auth, router, billing, console. */}}
{{- define "lumen.deployment" -}}
{{- $root := .root }}{{ $values := get .root.Values .component }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "lumen.name" $root }}-{{ .component }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "lumen.labels" . | nindent 4 }}
spec:
  replicas: {{ $values.replicas | default 1 }}
  revisionHistoryLimit: 5
  selector:
    matchLabels:
      {{- include "lumen.selector" . | nindent 6 }}
  strategy:
    type: RollingUpdate
    rollingUpdate: {maxSurge: 1, maxUnavailable: 0}
  template:
    metadata:
      labels:
        {{- include "lumen.labels" . | nindent 8 }}
      {{- with $values.podAnnotations }}
      annotations: {{ toJson . }}
      {{- end }}
    spec:
      {{- include "lumen.podShell" . | nindent 6 }}
      terminationGracePeriodSeconds: {{ add $root.Values.endpointRemovalS 30 }}
      containers:
        - name: {{ .component }}
          image: {{ include "lumen.image" $root }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          args: [{{ .component }}]
          ports:
            {{- include "lumen.ports" . | nindent 12 }}
          env:
            {{- include "lumen.env" . | trim | nindent 12 }}
          {{- include "lumen.probes" . | nindent 10 }}
          lifecycle:
            {{- include "lumen.preStop" $root | nindent 12 }}
          resources: {{ toJson $values.resources }}
          securityContext:
            {{- include "lumen.containerSecurity" . | nindent 12 }}
          volumeMounts:
            {{- include "lumen.mounts" $root | nindent 12 }}
      volumes:
        {{- include "lumen.volumes" $root | nindent 8 }}
{{- end }}
