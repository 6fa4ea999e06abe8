"""Word when something happens: over MQTT, to Home Assistant, and to a webhook."""
