"""What people see in OpenSearch Dashboards: index patterns, saved searches, visualisations and dashboards as saved objects."""
